//! Plain data that every stage of Magus shares.
//!
//! This crate knows no file system, no YAML syntax, no engine and no clock. It names things: where a value
//! was written ([`span`]), what a document says ([`tree`], [`files`]), what should be ([`desired`]), what is
//! ([`observed`]), what would be done ([`plan`]), what was done ([`report`]) and what is wrong ([`diagnostic`]).

pub mod desired;
pub mod diagnostic;
pub mod effort;
pub mod expansion;
pub mod files;
pub mod git;
pub mod history;
pub mod image;
pub mod invisible;
pub mod leaves;
pub mod mage;
pub mod name;
pub mod observed;
pub mod path;
pub mod pattern;
pub mod plan;
pub mod quantity;
pub mod report;
pub mod rules;
pub mod secrecy;
pub mod shell;
pub mod source;
pub mod span;
pub mod suggest;
pub mod tree;
pub mod userinfo;
pub mod value;

use std::{cell::RefCell, collections::HashSet};

/// Short, cheaply cloned text: keys, names and most values fit without an allocation.
pub use smol_str::SmolStr as Text;

/// A text that many places hold: equal ones of a thread are one as long as they are among the last few thousand.
/// What fits without memory of its own, and what is too long to come again, is not looked up.
pub fn shared(text: &str) -> Text {
    const MOST: usize = 8192;
    const INLINE: usize = 23;
    const LONG: usize = 256;
    thread_local! {
        static TEXTS: RefCell<HashSet<Text>> = RefCell::default();
    }
    if text.len() <= INLINE || text.len() > LONG {
        return text.into();
    }
    TEXTS.with_borrow_mut(|texts| {
        if let Some(known) = texts.get(text) {
            return known.clone();
        }
        if texts.len() == MOST {
            texts.clear();
        }
        let text = Text::from(text);
        texts.insert(text.clone());
        text
    })
}

/// The same list in memory of its own size. Shrinking in place leaves a block as large as it was, and lists that live
/// as long as the run would keep the room for items that never came.
pub fn exact<T>(mut list: Vec<T>) -> Vec<T> {
    if list.capacity() == list.len() {
        return list;
    }
    let mut exact = Vec::with_capacity(list.len());
    exact.append(&mut list);
    exact
}
