//! The `magus` program.

fn main() -> std::process::ExitCode {
    magus_cli::main()
}
