//! Plans, reports and diagnostics as text, JSON, Markdown, HTML, SARIF and the other formats.
