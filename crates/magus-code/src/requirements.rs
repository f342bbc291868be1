//! `requirements.txt`: which Python packages a project asks for.

use std::collections::BTreeMap;

/// The packages by name, each with what is asked of it. A line that names no package, such as `-r other.txt`, is its own name.
pub(crate) fn parse(text: &str) -> BTreeMap<String, String> {
    let mut packages = BTreeMap::new();
    for line in text.lines() {
        // A comment begins at the start of a line or after a space (pip's file format).
        let line = match line.split_once(" #") {
            Some((line, _)) => line.trim(),
            None => line.trim(),
        };
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let end =
            line.find(|c: char| !(c.is_ascii_alphanumeric() || "-_.".contains(c))).unwrap_or(line.len());
        let (name, asked) = line.split_at(end);
        if name.is_empty() || name.starts_with('-') || asked.starts_with([':', '+', '/']) {
            packages.insert(line.to_owned(), String::new());
        } else {
            // Names are the same whatever their case and separators (PEP 503).
            packages.insert(name.to_lowercase().replace(['_', '.'], "-"), asked.trim().to_owned());
        }
    }
    packages
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_found_by_name() {
        let parsed = parse(
            "# ours\n\nPandas==2.2.0\r\nfoo_bar[x]>=1,<2 ; python_version > '3' # why\nrequests\n-r other.txt\n\
             git+https://a.dev/b.git@v1#egg=b\n./local\nx @ https://a.dev/x.whl\n",
        );
        let told: Vec<_> = parsed.iter().map(|(name, asked)| format!("{name}|{asked}")).collect();
        assert_eq!(
            told,
            [
                "-r other.txt|",
                "./local|",
                "foo-bar|[x]>=1,<2 ; python_version > '3'",
                "git+https://a.dev/b.git@v1#egg=b|",
                "pandas|==2.2.0",
                "requests|",
                "x|@ https://a.dev/x.whl",
            ]
        );
    }
}
