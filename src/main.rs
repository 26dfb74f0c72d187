//! The command; everything is in the library.

fn main() -> std::process::ExitCode {
    pointsman::cli::main()
}
