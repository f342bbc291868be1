//! Tests of the whole crate, from texts to findings and fields.

pub(crate) mod builder;

mod compare;
mod deploy;
mod details;
mod explain;
mod import;
mod kubernetes;
mod layers;
mod main_server;
mod resolve;
mod rules;
mod settle;
mod together;
