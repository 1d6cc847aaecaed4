use clap::Parser as _;

use super::*;
use crate::args::{Cli, Command};

fn home() -> Surroundings {
    Surroundings {
        xdg_data_home: None,
        home: Some(PathBuf::from("/home/u")),
    }
}

fn up(args: &[&str], surroundings: &Surroundings) -> Result<UpConfig, CliError> {
    let cli = Cli::try_parse_from(["ringlight", "up"].iter().chain(args)).unwrap();
    match cli.command {
        Command::Up(args) => UpConfig::new(args, surroundings),
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn check_refused(args: &[&str], message: &str, hint: &str) {
    let error = up(args, &home()).unwrap_err();
    assert!(error.message.contains(message), "{}", error.message);
    let found = error.hint.unwrap();
    assert!(found.contains(hint), "{found}");
    assert_eq!(error.exit, Exit::Usage);
}

#[test]
fn the_defaults_are_those_of_the_documentation() {
    let config = up(&[], &home()).unwrap();
    let address = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    assert_eq!(
        config.backend,
        BackendConfig {
            data_dir: PathBuf::from("/home/u/.local/share/ringlight/up"),
            retention: Duration::from_secs(7 * 24 * 60 * 60),
            size_limit_bytes: 4 << 30,
            grpc: address(4317),
            http: address(4318),
            ui: address(4320),
            forward: None,
        }
    );
    assert_eq!(config.program, None);
}

#[test]
fn the_data_directory_follows_the_xdg_specification() {
    let mut surroundings = home();
    surroundings.xdg_data_home = Some(PathBuf::from("/data"));
    let config = up(&[], &surroundings).unwrap();
    assert_eq!(config.backend.data_dir, PathBuf::from("/data/ringlight/up"));
    surroundings.xdg_data_home = Some(PathBuf::from("relative"));
    let config = up(&[], &surroundings).unwrap();
    assert!(config.backend.data_dir.starts_with("/home/u"));
    let error = up(&[], &Surroundings::default()).unwrap_err();
    assert_eq!(error.exit, Exit::Data);
    assert!(error.hint.unwrap().contains("--data-dir"));
}

#[test]
fn a_program_takes_everything_after_the_dashes() {
    let config = up(&["--", "cargo", "run", "--", "--json"], &home()).unwrap();
    let program = config.program.unwrap();
    assert_eq!(program.name, "cargo");
    assert_eq!(program.args, ["run", "--", "--json"]);
    assert!(!config.json);
}

#[test]
fn wrong_values_are_refused_with_a_hint() {
    check_refused(&["--retention", "7"], "`7` has no unit", "`7d`");
    check_refused(&["--retention", "10s"], "less than a minute", "`1m`");
    check_refused(&["--size-limit", "4GG"], "`GG` is no unit", "`GiB`");
    check_refused(&["--size-limit", "1MiB"], "too small", "`16MiB`");
    check_refused(&["--listen", "0.0.0.0"], "only loopback", "127.0.0.1");
    check_refused(&["--listen", "::"], "only loopback", "127.0.0.1");
    check_refused(&["--listen", "127.0.0.1:80"], "no IP address", "flags of");
    check_refused(&["--ui-port", "4317"], "are both 4317", "its own port");
}

#[test]
fn free_ports_may_be_asked_for_more_than_once() {
    let args = ["--grpc-port", "0", "--http-port", "0", "--ui-port", "0"];
    assert_eq!(up(&args, &home()).unwrap().backend.ui.port(), 0);
    let config = up(&["--listen", "::1"], &home()).unwrap();
    assert_eq!(config.backend.ui.to_string(), "[::1]:4320");
    let config = up(&["--listen", "localhost"], &home()).unwrap();
    assert_eq!(config.backend.ui.to_string(), "127.0.0.1:4320");
}

#[test]
fn the_command_line_is_well_formed() {
    use clap::CommandFactory as _;
    Cli::command().debug_assert();
    // Every command shows how it is used.
    let command = Cli::command();
    for command in command.get_subcommands().chain([&command]) {
        let help = command.get_after_help().unwrap().to_string();
        assert!(help.contains("ringlight"), "{}", command.get_name());
    }
}

#[test]
fn what_is_received_may_be_passed_on_but_not_back() {
    let config = up(&["--forward", "https://tempo.example:4317"], &home()).unwrap();
    assert_eq!(
        config.backend.forward,
        Some(ForwardConfig {
            url: "https://tempo.example:4317".to_owned(),
            size_limit_bytes: 1 << 30,
        })
    );
    for own in [
        "http://localhost:4317",
        "http://127.0.0.1:4318/v1",
        "LOCALHOST:4320",
        "http://[::1]:4317",
        "http://user@127.0.0.2:4317",
    ] {
        check_refused(&["--forward", own], "listens there itself", "--grpc-port");
    }
    let elsewhere = ["--forward", "http://localhost:4317", "--grpc-port", "5317"];
    assert!(up(&elsewhere, &home()).unwrap().backend.forward.is_some());
    let small = ["--forward", "http://a:4317", "--forward-size-limit", "1MiB"];
    check_refused(&small, "--forward-size-limit", "16MiB");
}
