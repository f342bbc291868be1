//! From what a walk found to files with texts: reads in parallel, in an order that no thread changes.

use std::path::{Path, PathBuf};

use magus_model::{
    Text,
    diagnostic::{Diagnostic, Fix},
    rules,
    span::{FileId, SourceFile, Sources, Span},
};
use rayon::prelude::*;

use crate::{
    document::{File, Loaded, Role},
    walk::{Fault, Found, Walked, What, unreadable},
};

/// The largest file that is read, in bytes.
pub const LARGEST_FILE: u64 = 1 << 20;

/// Why a file could not be read.
pub(crate) enum ReadFault {
    TooLarge,
    Unreadable(String),
}

/// Which directory was walked.
pub(crate) struct Directory {
    /// As it was given.
    pub(crate) root: PathBuf,
    /// As it is shown.
    pub(crate) display: String,
    /// The commit that it is read from.
    pub(crate) revision: Option<String>,
}

/// Reads everything. `open` makes what one thread reads with.
pub(crate) fn load<F: Send, R>(
    directory: Directory,
    walked: Walked<F>,
    open: impl Fn() -> R + Sync + Send,
    read: impl Fn(&mut R, &F) -> Result<Vec<u8>, ReadFault> + Sync + Send,
) -> Loaded {
    let Directory { root, display, revision } = directory;
    let one = |reader: &mut R, (at, found): (usize, Found<F>)| {
        let id = FileId(u32::try_from(at).unwrap_or(u32::MAX));
        let shown = match display.as_str() {
            "." => found.path.clone(),
            display => format!("{}/{}", display.trim_end_matches('/'), found.path),
        };
        match found.what {
            What::Fault(fault) => Read::fault(shown, id, fault),
            What::Document { role, file, rename } => {
                let mut one = match read(reader, &file) {
                    Ok(bytes) => Read::bytes(shown, id, bytes),
                    Err(ReadFault::TooLarge) => Read::fault(
                        shown,
                        id,
                        Fault {
                            rule: &rules::FILE_TOO_LARGE,
                            message: "the file is larger than 1 MiB, and was not read".into(),
                            help: Some("split it, or begin its name with `_` if it declares nothing".into()),
                        },
                    ),
                    Err(ReadFault::Unreadable(why)) => Read::fault(
                        shown,
                        id,
                        unreadable(format!("the file cannot be read: {why}"), "check its permissions"),
                    ),
                };
                if let Some(rename) = rename {
                    let message = "the file does not end in `.yaml`";
                    one.diagnostics.push(
                        Diagnostic::new(&rules::YML_EXTENSION, Span::start_of(id), message)
                            .help(format!("rename it to `{rename}`: `magus lint --fix` does"))
                            .fix(Fix::Rename(rename)),
                    );
                }
                one.file = Some((found.path.into(), role));
                one
            }
        }
    };
    let read: Vec<Read> = walked.found.into_par_iter().enumerate().map_init(open, one).collect();
    let mut sources = Vec::with_capacity(read.len());
    let mut files = Vec::with_capacity(read.len());
    let mut diagnostics = Vec::new();
    for (at, Read { source, readable, file, diagnostics: found }) in read.into_iter().enumerate() {
        sources.push(source);
        if let Some((path, role)) = file {
            let id = FileId(u32::try_from(at).unwrap_or(u32::MAX));
            files.push(File { id, path, role, readable });
        }
        diagnostics.extend(found);
    }
    Loaded {
        sources: Sources::new(sources),
        files,
        environments: walked.environments,
        diagnostics,
        root,
        display: display.into(),
        revision,
    }
}

/// A file after reading.
struct Read {
    source: SourceFile,
    readable: bool,
    file: Option<(Text, Role)>,
    diagnostics: Vec<Diagnostic>,
}

impl Read {
    fn nothing(source: SourceFile, diagnostic: Diagnostic) -> Self {
        Self { source, readable: false, file: None, diagnostics: vec![diagnostic] }
    }

    fn fault(shown: String, id: FileId, Fault { rule, message, help }: Fault) -> Self {
        let mut diagnostic = Diagnostic::new(rule, Span::start_of(id), message);
        diagnostic.help = help;
        Self::nothing(SourceFile::new(shown, ""), diagnostic)
    }

    fn bytes(shown: String, id: FileId, bytes: Vec<u8>) -> Self {
        match String::from_utf8(bytes) {
            Ok(text) => Self {
                source: SourceFile::new(shown, text),
                readable: true,
                file: None,
                diagnostics: Vec::new(),
            },
            Err(error) => {
                let valid = error.utf8_error().valid_up_to();
                let bytes = error.into_bytes();
                let message = match bytes.get(..2) {
                    Some([0xff, 0xfe] | [0xfe, 0xff]) => "the file is UTF-16, not UTF-8".to_owned(),
                    _ => format!("the byte 0x{:02x} is not UTF-8", bytes.get(valid).copied().unwrap_or(0)),
                };
                let text = String::from_utf8_lossy(&bytes[..valid]);
                let at = u32::try_from(valid).unwrap_or(u32::MAX);
                let diagnostic = Diagnostic::new(&rules::NOT_UTF8, Span::new(id, at, at), message)
                    .help("save the file as UTF-8");
                Self::nothing(SourceFile::new(shown, text.as_ref()), diagnostic)
            }
        }
    }
}

/// A directory as it is shown: relative to the working directory where it lies in it, or was given so; with `/`.
pub(crate) fn shown(directory: &Path, working_directory: &Path) -> String {
    let absolute = normal(&working_directory.join(directory));
    let working_directory = normal(working_directory);
    let text = |path: &Path| {
        let parts: Vec<_> = path.iter().map(|part| part.to_string_lossy()).collect();
        let joined = parts.join("/");
        if let Some(rest) = joined.strip_prefix("//") { format!("/{rest}") } else { joined }
    };
    if let Ok(inside) = absolute.strip_prefix(&working_directory) {
        return if inside.as_os_str().is_empty() { ".".into() } else { text(inside) };
    }
    if directory.is_absolute() {
        return text(&absolute);
    }
    let common = absolute.iter().zip(working_directory.iter()).take_while(|(a, b)| a == b).count();
    let mut relative = PathBuf::new();
    relative.extend(working_directory.iter().skip(common).map(|_| ".."));
    relative.extend(absolute.iter().skip(common));
    text(&relative)
}

/// The path without `.` and `..`, as far as the text tells.
pub(crate) fn normal(path: &Path) -> PathBuf {
    use std::path::Component;
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir if matches!(normal.components().next_back(), Some(Component::Normal(_))) => {
                normal.pop();
            }
            Component::ParentDir if normal.has_root() => {}
            component => normal.push(component),
        }
    }
    normal
}
