//! The HTTP API of a Mage server.
//!
//! Requests are built by pure functions ([`request`]), answers are judged in one place ([`answer`]), and only
//! [`transport`] touches the network. [`Client`] puts them together, logs in, and says who it is that asks.

pub mod answer;
mod client;
mod credentials;
mod error;
mod pace;
pub(crate) mod proxy;
mod redact;
pub mod request;
mod session;
#[cfg(test)]
pub(crate) mod testing;
mod transport;
mod url;

pub use client::{Client, Options};
pub use credentials::{Credentials, Login};
pub use error::{ApiError, ApiErrorKind};
pub use pace::Clock;
pub use proxy::Proxy;
pub use request::Request;
pub use session::{InstanceType, ProjectType, Rights, Role, Server};
pub use transport::Limits;
pub use url::{ServerUrl, UrlFault};
