//! The schemas as texts.

use serde_json::Value;

use crate::{SchemaKind, generate, place::follow, text, version};

#[test]
fn the_schemas_in_the_repository_are_those_of_the_types() {
    for kind in SchemaKind::ALL {
        assert_eq!(
            text(kind),
            generate(kind),
            "run `cargo xtask codegen`: {} is out of date",
            kind.file_name()
        );
    }
}

#[test]
fn a_schema_says_which_magus_wrote_it() {
    for kind in SchemaKind::ALL {
        assert_eq!(version(text(kind)).as_deref(), Some(env!("CARGO_PKG_VERSION")));
    }
    assert_eq!(version("{}"), None);
    assert_eq!(version("# not JSON"), None);
}

/// Calls a function with every schema in a schema: keywords are not told from the names of properties otherwise.
fn each<'a>(schema: &'a Value, path: &str, f: &mut impl FnMut(&str, &'a Value)) {
    f(path, schema);
    for keyword in ["properties", "definitions"] {
        for (key, child) in schema[keyword].as_object().into_iter().flatten() {
            each(child, &format!("{path}/{keyword}/{key}"), f);
        }
    }
    for keyword in ["items", "additionalProperties"] {
        if schema[keyword].is_object() {
            each(&schema[keyword], &format!("{path}/{keyword}"), f);
        }
    }
}

#[test]
fn schemas_are_what_editors_understand_well() {
    const KEYWORDS: &[&str] = &[
        "$ref",
        "$schema",
        "additionalProperties",
        "definitions",
        "dependencies",
        "deprecationMessage",
        "description",
        "enum",
        "enumDescriptions",
        "examples",
        "format",
        "items",
        "maxProperties",
        "maximum",
        "minItems",
        "minProperties",
        "minimum",
        "pattern",
        "properties",
        "propertyNames",
        "required",
        "title",
        "type",
        "x-magus-version",
    ];
    for kind in SchemaKind::ALL {
        let schema: Value = serde_json::from_str(text(kind)).expect("a schema is JSON");
        let root = &schema;
        each(root, kind.name(), &mut |path, schema| {
            for keyword in schema.as_object().expect("a schema is an object").keys() {
                assert!(KEYWORDS.contains(&keyword.as_str()), "{path}: `{keyword}`");
            }
            let is_lint = path.ends_with("/lint") || path.contains("/lint/");
            if schema.get("properties").is_some() && !is_lint {
                assert_eq!(schema["additionalProperties"], false, "{path} accepts any key");
            }
            for (key, property) in schema["properties"].as_object().into_iter().flatten() {
                let property = follow(root, property);
                let described = property["description"].as_str().is_some_and(|text| !text.contains('\n'));
                assert!(described, "{path}: `{key}` has no description in one line");
            }
            if let Some(words) = schema["enum"].as_array().filter(|_| !is_lint) {
                assert_eq!(schema["enumDescriptions"].as_array().map(Vec::len), Some(words.len()), "{path}");
            }
            if let Some(target) = schema["$ref"].as_str() {
                let beside: Vec<&String> = schema.as_object().expect("an object").keys().collect();
                assert!(
                    beside.iter().all(|key| ["$ref", "description"].contains(&key.as_str())),
                    "{path}: {beside:?}"
                );
                assert!(target.starts_with("#/definitions/"), "{path}: {target}");
            }
        });
        for definition in schema["definitions"].as_object().into_iter().flatten() {
            let uses = text(kind).matches(&format!("\"#/definitions/{}\"", definition.0)).count();
            assert!(uses > 0, "{}: nobody uses `{}`", kind.name(), definition.0);
        }
    }
}

#[test]
fn schemas_are_schemas_of_draft_07() {
    for kind in SchemaKind::ALL {
        let schema: Value = serde_json::from_str(text(kind)).expect("a schema is JSON");
        assert_eq!(schema["$schema"], "http://json-schema.org/draft-07/schema#");
        jsonschema::draft7::meta::validate(&schema).expect("a schema that follows its own schema");
        let wrong = serde_json::json!({ "type": "txt" });
        assert!(jsonschema::draft7::meta::validate(&wrong).is_err(), "the check itself checks");
    }
}
