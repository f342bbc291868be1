//! The one integration binary: `magus` from outside, as its users run it.

mod apply;
mod bed;
mod branches;
mod code;
mod deploy;
mod editor;
mod fixture;
mod gates;
mod guards;
mod history;
mod hostile;
mod import;
mod init;
mod kill;
mod lint;
mod mage;
mod mage_facts;
mod plan_file;
mod promote;
mod properties;
mod reasons;
mod revision;
mod rules;
mod secrets;
mod selection;
mod terminal;
