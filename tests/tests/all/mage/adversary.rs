//! The adversary on the real server: the same worlds, rules and faults, in a namespace of each folder's own.

use magus_tests::{
    cases,
    mage::{Logins, shared},
};

use crate::adversary::no_real_world_surprises;

#[test]
fn no_world_on_a_real_server_surprises() {
    match shared(Logins::On) {
        Ok(_) => no_real_world_surprises(cases(10, 40)),
        Err(missing) => missing.skip("no_world_on_a_real_server_surprises"),
    }
}
