//! The way from files to a plan: load → validate → resolve → observe → diff → plan.

use std::path::Path;

use magus_engine::EngineError;
use magus_load::{Document, Loaded, Role};
use magus_model::{
    Text,
    desired::Desired,
    diagnostic::{Diagnostic, LocatedDiagnostic, Severity},
    observed::Observation,
    plan::{Overrides, Plan, Source},
};
use magus_plan::{Filter, Intent, PlanRequest};
use magus_resolve::{Resolution, Settled};
use magus_schema::SchemaKind;
use rayon::prelude::*;

use crate::{
    VERSION,
    arguments::{Global, Guards},
    error::{CommandError, Exit},
    output::Output,
    store,
};
