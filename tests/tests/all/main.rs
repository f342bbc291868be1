//! The one integration binary: `magus` from outside, as its users run it.

mod apply;
mod fixture;
mod guards;
mod hostile;
mod import;
mod init;
mod kill;
mod lint;
mod plan_file;
mod reasons;
mod revision;
mod secrets;
mod terminal;
