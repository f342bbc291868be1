use super::*;

#[track_caller]
fn sql(text: &str, expected: &[&str]) {
    check(FileKind::Text, text, expected);
}

#[test]
fn calls_are_found_wherever_they_stand() {
    for (text, expected) in [
        ("{{ env_var('A') }}", "1:12 env A"),
        ("{{env_var(\"A\")}}", "1:11 env A"),
        ("{{- env_var( 'A' ) -}}", "1:14 env A"),
        ("{{ env_var('A', 'b') }}", "1:12 env A default"),
        ("{{ env_var('A', default='b') }}", "1:12 env A default"),
        ("{{ env_var(key='A') }}", "1:16 env A"),
        ("{{ env_var('A') or 'b' }}", "1:12 env A default"),
        ("{{ env_var('A') | default('b', true) }}", "1:12 env A default"),
        // `None` is defined: the filter does nothing.
        ("{{ env_var('A') | default('b') }}", "1:12 env A"),
        ("{{ env_var('A') | upper }}", "1:12 env A"),
        ("{% if env_var('A') %}x{% endif %}", "1:15 env A default"),
        ("{% set x = env_var('A') %}", "1:20 env A"),
        ("{{ json_value(aws_secret_var('a'), 'k') }}", "1:30 store a"),
        ("{{ mage_secret_var('a') }}", "1:20 secret a"),
        ("{{ variables('a') }}", "1:14 runtime a"),
        ("{{ variables('execution_date') }}", "1:14 runtime execution_date default"),
        ("{{ variables('a', parse=lambda x, y: x['b']) }}", "1:14 runtime a"),
        ("{{ 'https://' ~ env_var('A') ~ '/' }}", "1:25 env A"),
        ("{{ { 'a': env_var('A') } }}", "1:19 env A"),
        ("{{ '}}' ~ env_var('A') }}", "1:19 env A"),
        ("{{ env_var('A' 'B') }}", "1:12 env AB"),
        ("{{\n  env_var(\n    'A'\n  )\n}}", "3:5 env A"),
        ("-- {{ env_var('A') }}\nSELECT 1", "1:15 env A"),
        ("/* {{ env_var('A') }} */", "1:15 env A"),
        ("ä {{ env_var('Ä') }}", "1:14 env Ä"),
        ("{{ env_var(name) }}", "1:12 env <name>"),
        ("{{ env_var('A' ~ x) }}", "1:12 env <'A' ~ x>"),
        ("{ {{ env_var('A') }} }", "1:14 env A"),
        ("{{ \"it's\" ~ env_var('A') }}", "1:21 env A"),
        ("{% raw %}{{ env_var('B') }}{% endraw %}{{ env_var('A') }}", "1:51 env A"),
        ("{%- raw -%}{{ env_var('B') }}{%- endraw -%}{{ env_var('A') }}", "1:55 env A"),
        ("{# {{ env_var('B') }} #}{{ env_var('A') }}", "1:36 env A"),
    ] {
        sql(text, &[expected]);
    }
}

#[test]
fn what_is_not_rendered_is_no_reference() {
    for text in [
        "env_var('A')",
        "{ env_var('A') }",
        "{# {{ env_var('A') }} #}",
        "{% raw %}{{ env_var('A') }}{% endraw %}",
        "{{ x.env_var('A') }}",
        "{{ \"env_var('A')\" }}",
        "{{ env_vars('A') }}",
        "{{ env_var }}",
        "{{ env_var() }}",
        "${{ secrets.A }}",
    ] {
        sql(text, &[]);
    }
}

#[test]
fn a_template_that_does_not_end_is_a_fault_and_what_is_before_it_counts() {
    for (text, line, what) in [
        ("{{ env_var('A') }}\n{{ env_var('B'", 2, "a tag without its end"),
        ("{{ env_var('A') }}\n{{ 'B }}", 2, "a string without its end"),
        ("{{ env_var('A') }}\n{# B", 2, "a comment `{#` without its end"),
        ("{{ env_var('A') }}\n{% raw %}", 2, "`{% raw %}` without its end"),
        ("{{ env_var('A') }}\n{{ ) }}", 2, "a bracket that nothing opens"),
    ] {
        let found = scan(FileKind::Text, text.as_bytes());
        let fault = found.fault.as_ref().unwrap();
        assert_eq!((fault.line, &*fault.what), (line, what), "{text}");
        assert_eq!(shown(&found), ["1:12 env A"], "{text}");
    }
}

#[test]
fn comments_of_yaml_are_rendered_and_matter_to_nobody() {
    check(
        FileKind::Yaml,
        "# {{ env_var('A') }}\nhost: {{ env_var('B') }} # {{ env_var('C') }}\nurl: \"a # {{ env_var('D') }}\"\nname: it's # {{ env_var('E') }}\n",
        &["1:14 env A comment", "2:18 env B", "2:39 env C comment", "3:22 env D", "4:25 env E comment"],
    );
}

#[test]
fn settings_are_told_by_profile_and_key() {
    let text = "version: 0.1.1\n\
        default:\n  # {{ env_var('NOTE') }}\n  POSTGRES_HOST: \"{{ env_var('HOST') }}\"\n  POSTGRES_PORT: {{ env_var('PORT', 5432) }}\n\
        other:\n  AWS_ACCESS_KEY_ID: '{{ mage_secret_var(\"key\") }}'\n";
    check(
        FileKind::IoConfig,
        text,
        &[
            "3:16 env NOTE comment",
            "4:30 env HOST in default.POSTGRES_HOST",
            "5:29 env PORT default in default.POSTGRES_PORT",
            "7:42 secret key in other.AWS_ACCESS_KEY_ID",
        ],
    );
    let found = scan(FileKind::IoConfig, text.as_bytes());
    let profiles: Vec<_> = found.profiles.iter().map(|one| (one.name.as_str(), one.line)).collect();
    assert_eq!(profiles, [("default", 2), ("other", 6)]);
}

#[test]
fn of_a_pipeline_only_what_mage_renders_counts() {
    check(
        FileKind::Pipeline,
        "name: \"{{ env_var('NO') }}\"\nexecutor_type: \"{{ env_var('EXECUTOR', 'k8s') }}\"\nblocks:\n\
         - uuid: a\n  type: data_loader\n  executor_type: \"{{ env_var('OF_BLOCK') }}\"\n  configuration:\n    data_provider: postgres\n    data_provider_profile: dev\n    limit: \"{{ variables('limit') }}\"\n",
        &["2:28 env EXECUTOR default", "6:30 env OF_BLOCK", "9:28 profile dev", "10:26 runtime limit"],
    );
}
