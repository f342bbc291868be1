//! What names mean in a Python file: bindings by scope, and what an expression comes to where that can be known.

use std::collections::HashMap;

use magus_model::Text;
use tree_sitter::{Node, TreeCursor};

use super::DEEPEST;

/// What a name is bound to in a scope.
#[derive(Debug, Clone)]
enum Binding<'t> {
    /// A module or what is in one, with its dotted path.
    Import(String),
    /// What an expression comes to.
    Value(Node<'t>),
    /// The keyword arguments of a block's function: the runtime variables.
    Arguments,
    /// What nobody can say.
    Other,
}

/// A module, function, class or comprehension.
#[derive(Debug)]
struct Scope<'t> {
    outer: Option<usize>,
    is_class: bool,
    bindings: HashMap<&'t str, Vec<Binding<'t>>>,
}

/// An expression that may refer to something, and the scope that it is in.
pub(crate) type Candidate<'t> = (Node<'t>, usize);

/// The names of a file.
pub(crate) struct Names<'t> {
    text: &'t str,
    scopes: Vec<Scope<'t>>,
    imports: Vec<Text>,
    pub(crate) candidates: Vec<Candidate<'t>>,
}

/// What blocks get without an import of it in this file: through `import *`, or from Mage.
const WITHOUT_IMPORT: [(&str, &str); 2] = [("os", "os"), ("get_secret_value", super::uses::SECRET)];

impl<'t> Names<'t> {
    /// Reads the whole file once. Nothing recurses over it.
    pub(crate) fn read(root: Node<'t>, text: &'t str) -> Self {
        let mut names =
            Self { text, scopes: vec![Scope::new(None, false)], imports: Vec::new(), candidates: Vec::new() };
        let mut cursor = root.walk();
        let mut scope = 0;
        // The scopes to return to, each with the depth at which it began.
        let mut entered: Vec<(u32, usize)> = Vec::new();
        // A node finds its parent only by a search from the root.
        let mut parents: Vec<Node<'t>> = Vec::new();
        loop {
            let node = cursor.node();
            let inner = names.visit(node, parents.last().copied(), scope);
            if inner != scope {
                entered.push((cursor.depth(), scope));
                scope = inner;
            }
            if cursor.goto_first_child() {
                parents.push(node);
                continue;
            }
            loop {
                if entered.last().is_some_and(|(depth, _)| *depth == cursor.depth()) {
                    scope = entered.pop().map_or(0, |(_, outer)| outer);
                }
                if cursor.goto_next_sibling() {
                    break;
                }
                if !cursor.goto_parent() {
                    return names;
                }
                parents.pop();
            }
        }
    }

    /// The dotted paths that are imported; relative ones begin with dots.
    pub(crate) fn imports(&self) -> Vec<Text> {
        let mut imports = self.imports.clone();
        imports.sort();
        imports.dedup();
        imports
    }

    /// As it is written.
    pub(crate) fn source(&self, node: Node<'_>) -> &'t str {
        self.text.get(node.byte_range()).unwrap_or_default()
    }

    /// Binds what a node binds, and says in which scope what is below it is.
    fn visit(&mut self, node: Node<'t>, parent: Option<Node<'t>>, scope: usize) -> usize {
        match node.kind() {
            "import_statement" => self.import(node, scope),
            "import_from_statement" => self.import_from(node, scope),
            "assignment" => self.assign(node, "left", "right", scope),
            "named_expression" => self.assign(node, "name", "value", scope),
            "augmented_assignment" | "for_statement" | "for_in_clause" => self.bind_all(node, "left", scope),
            "as_pattern" => self.bind_all(node, "alias", scope),
            "call" | "subscript" | "comparison_operator" => self.candidates.push((node, scope)),
            "identifier" | "attribute" if parent.is_some_and(|parent| is_whole(node, parent)) => {
                self.candidates.push((node, scope))
            }
            "function_definition" | "class_definition" => {
                self.bind_all(node, "name", scope);
                let inner = self.enter(scope, node.kind() == "class_definition");
                self.parameters(node, parent, inner);
                return inner;
            }
            "lambda" => {
                let inner = self.enter(scope, false);
                self.parameters(node, None, inner);
                return inner;
            }
            "list_comprehension"
            | "set_comprehension"
            | "dictionary_comprehension"
            | "generator_expression" => {
                return self.enter(scope, false);
            }
            _ => {}
        }
        scope
    }

    fn enter(&mut self, outer: usize, is_class: bool) -> usize {
        self.scopes.push(Scope::new(Some(outer), is_class));
        self.scopes.len() - 1
    }

    fn bind(&mut self, scope: usize, name: &'t str, binding: Binding<'t>) {
        self.scopes[scope].bindings.entry(name).or_default().push(binding);
    }

    /// Binds every name in the pattern of a field to what nobody can say.
    fn bind_all(&mut self, node: Node<'t>, field: &str, scope: usize) {
        let Some(pattern) = node.child_by_field_name(field) else { return };
        for name in identifiers(pattern) {
            self.bind(scope, self.source(name), Binding::Other);
        }
    }

    fn assign(&mut self, node: Node<'t>, left: &str, right: &str, scope: usize) {
        let target = node.child_by_field_name(left);
        match (target, node.child_by_field_name(right)) {
            (Some(target), Some(value)) if target.kind() == "identifier" => {
                self.bind(scope, self.source(target), Binding::Value(value));
            }
            _ => self.bind_all(node, left, scope),
        }
    }

    /// Binds parameters. What decorates a function makes it a block's, whose keyword arguments are the runtime variables.
    fn parameters(&mut self, function: Node<'t>, around: Option<Node<'t>>, scope: usize) {
        let Some(parameters) = function.child_by_field_name("parameters") else { return };
        let is_block = around.is_some_and(|around| around.kind() == "decorated_definition");
        let mut cursor = parameters.walk();
        for parameter in parameters.named_children(&mut cursor) {
            let named = parameter.child_by_field_name("name").unwrap_or(parameter);
            let inner =
                if named.kind() == "typed_parameter" { named.named_child(0).unwrap_or(named) } else { named };
            let rest = inner.kind() == "dictionary_splat_pattern";
            for name in identifiers(inner) {
                let binding = if rest && is_block { Binding::Arguments } else { Binding::Other };
                self.bind(scope, self.source(name), binding);
            }
        }
    }

    fn import(&mut self, node: Node<'t>, scope: usize) {
        let mut cursor = node.walk();
        for one in node.children_by_field_name("name", &mut cursor) {
            let name = one.child_by_field_name("name").unwrap_or(one);
            let path = self.source(name);
            self.imports.push(path.into());
            match one.child_by_field_name("alias") {
                Some(alias) => self.bind(scope, self.source(alias), Binding::Import(path.to_owned())),
                None => {
                    // `import os.path` binds `os`.
                    let first = path.split('.').next().unwrap_or(path);
                    self.bind(scope, first, Binding::Import(first.to_owned()));
                }
            }
        }
    }

    fn import_from(&mut self, node: Node<'t>, scope: usize) {
        let Some(module) = node.child_by_field_name("module_name") else { return };
        let module = self.source(module);
        self.imports.push(module.into());
        let mut cursor = node.walk();
        for one in node.children_by_field_name("name", &mut cursor) {
            let name = self.source(one.child_by_field_name("name").unwrap_or(one));
            let bound = one.child_by_field_name("alias").map_or(name, |alias| self.source(alias));
            let separator = if module.ends_with('.') { "" } else { "." };
            let path = format!("{module}{separator}{name}");
            self.imports.push(path.as_str().into());
            self.bind(scope, bound, Binding::Import(path));
        }
    }

    /// What a name is bound to, seen from a scope, and in which scope that is.
    fn look_up(&self, name: &str, from: usize) -> Option<(&[Binding<'t>], usize)> {
        let mut at = Some(from);
        while let Some(scope) = at {
            let here = &self.scopes[scope];
            // What a class binds is not seen from its methods.
            if let Some(bindings) = here.bindings.get(name)
                && (scope == from || !here.is_class)
            {
                return Some((bindings, scope));
            }
            at = here.outer;
        }
        None
    }

    /// The dotted path of what an expression names, such as `os.environ.get`.
    pub(crate) fn path(&self, node: Node<'t>, scope: usize) -> Option<String> {
        self.path_within(node, scope, DEEPEST)
    }

    fn path_within(&self, node: Node<'t>, scope: usize, depth: u32) -> Option<String> {
        let depth = depth.checked_sub(1)?;
        match node.kind() {
            "identifier" => {
                let name = self.source(node);
                let Some((bindings, bound)) = self.look_up(name, scope) else {
                    let known = WITHOUT_IMPORT.into_iter().find(|(known, _)| *known == name);
                    return known.map(|(_, path)| path.to_owned());
                };
                // Where it is bound in several ways, one that is known is enough: `try: import … except: … = None`.
                bindings.iter().find_map(|binding| match binding {
                    Binding::Import(path) => Some(path.clone()),
                    Binding::Value(value) => self.path_within(*value, bound, depth),
                    Binding::Arguments | Binding::Other => None,
                })
            }
            "attribute" => {
                let object = self.path_within(node.child_by_field_name("object")?, scope, depth)?;
                Some(format!("{object}.{}", self.source(node.child_by_field_name("attribute")?)))
            }
            "parenthesized_expression" => self.path_within(node.named_child(0)?, scope, depth),
            _ => None,
        }
    }

    /// Whether an expression names the runtime variables of a block.
    pub(crate) fn is_arguments(&self, node: Node<'t>, scope: usize) -> bool {
        let bound = (node.kind() == "identifier").then(|| self.look_up(self.source(node), scope)).flatten();
        bound.is_some_and(|(bindings, _)| matches!(bindings, [Binding::Arguments]))
    }

    /// The text that an expression comes to.
    pub(crate) fn literal(&self, node: Node<'t>, scope: usize) -> Option<String> {
        self.literal_within(node, scope, DEEPEST)
    }

    fn literal_within(&self, node: Node<'t>, scope: usize, depth: u32) -> Option<String> {
        let depth = depth.checked_sub(1)?;
        match node.kind() {
            "string" => self.string(node),
            "concatenated_string" => {
                let mut cursor = node.walk();
                let parts: Option<Vec<String>> = node
                    .named_children(&mut cursor)
                    .map(|part| self.literal_within(part, scope, depth))
                    .collect();
                parts.map(|parts| parts.concat())
            }
            "parenthesized_expression" => self.literal_within(node.named_child(0)?, scope, depth),
            "binary_operator" => {
                let side = |name| self.literal_within(node.child_by_field_name(name)?, scope, depth);
                (self.source(node.child_by_field_name("operator")?) == "+").then_some(())?;
                Some(side("left")? + &side("right")?)
            }
            "identifier" => {
                let (bindings, bound) = self.look_up(self.source(node), scope)?;
                let [Binding::Value(value)] = bindings else { return None };
                self.literal_within(*value, bound, depth)
            }
            _ => None,
        }
    }

    /// The text of a string, if it is written as it is.
    fn string(&self, node: Node<'t>) -> Option<String> {
        let mut text = String::new();
        let mut cursor = node.walk();
        let mut raw = false;
        for part in node.children(&mut cursor) {
            match part.kind() {
                "string_start" => {
                    let prefix = self.source(part).trim_end_matches(['"', '\'']).to_ascii_lowercase();
                    raw = prefix.contains('r');
                    // Bytes name no variable.
                    if prefix.contains('b') || prefix.contains('t') {
                        return None;
                    }
                }
                "string_content" => {
                    let content = self.source(part);
                    if !raw && content.contains('\\') {
                        return None;
                    }
                    text.push_str(content);
                }
                "string_end" => {}
                _ => return None,
            }
        }
        Some(text)
    }
}

impl Scope<'_> {
    fn new(outer: Option<usize>, is_class: bool) -> Self {
        Self { outer, is_class, bindings: HashMap::new() }
    }
}

/// Whether a name or an attribute stands for itself, and is no part of a longer expression that is looked at as a whole.
fn is_whole(node: Node<'_>, parent: Node<'_>) -> bool {
    match parent.kind() {
        "argument_list" | "keyword_argument" | "dictionary_splat" | "return_statement" | "for_statement"
        | "for_in_clause" => {
            // The name of a keyword and the variable of a loop are bound, and not read.
            parent.child_by_field_name("name") != Some(node)
                && parent.child_by_field_name("left") != Some(node)
        }
        _ => false,
    }
}

/// The names that a pattern binds: those in tuples and lists, and not what is an attribute or an index of something.
fn identifiers<'t>(pattern: Node<'t>) -> Vec<Node<'t>> {
    let mut found = Vec::new();
    let mut open = vec![pattern];
    while let Some(node) = open.pop() {
        match node.kind() {
            "identifier" => found.push(node),
            "attribute" | "subscript" | "call" | "type" => {}
            _ => {
                let mut cursor: TreeCursor<'t> = node.walk();
                open.extend(node.named_children(&mut cursor));
            }
        }
    }
    found
}
