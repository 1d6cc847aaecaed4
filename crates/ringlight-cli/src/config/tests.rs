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
            url: "https://tempo.example:4317".parse().unwrap(),
            size_limit_bytes: 1 << 30,
        })
    );
    let elsewhere = ["--forward", "http://localhost:4317", "--grpc-port", "5317"];
    assert!(up(&elsewhere, &home()).unwrap().backend.forward.is_some());
    let small = ["--forward", "http://a:4317", "--forward-size-limit", "1MiB"];
    check_refused(&small, "--forward-size-limit", "16MiB");
}

#[test]
fn nothing_is_passed_on_to_where_it_came_from() {
    let at = |listen: &str, to: &str| {
        let flags = ["--listen", listen, "--http-port", "80", "--forward", to];
        up(&flags, &home())
    };
    let leads_back = |listen: &str, to: &str| {
        let error = at(listen, to).unwrap_err();
        let expected =
            format!("`--forward {to}` cannot be used: this backend listens there itself");
        assert_eq!((error.exit, error.message), (Exit::Usage, expected));
        assert!(error.hint.unwrap().contains("--grpc-port"));
    };
    for own in [
        "http://localhost:4317",
        "http://LOCALHOST",
        "HTTP://127.0.0.1:80/v1",
        "https://127.0.0.1:4320",
        "http://[::ffff:127.0.0.1]:4317",
        "http://0.0.0.0:4317",
        "http://[::]:4317",
    ] {
        leads_back("127.0.0.1", own);
    }
    leads_back("::1", "http://[::1]:4317");
    leads_back("::1", "http://[::1]");
    leads_back("::1", "http://localhost:4317");
    leads_back("127.0.0.2", "http://127.0.0.2:4317");
    for other in [
        "http://[::1]:4317",
        "http://127.0.0.2:4317",
        "http://127.0.0.1:4318",
        "https://127.0.0.1",
        "https://[::1]",
        "http://localhost.example:4317",
    ] {
        assert!(at("127.0.0.1", other).is_ok(), "{other}");
    }
    assert!(at("127.0.0.2", "http://localhost:4317").is_ok());
}

#[test]
fn an_address_that_cannot_be_used_is_not_told_with_its_secrets() {
    let check = |to: &str, reason: &str| {
        let error = up(&["--forward", to], &home()).unwrap_err();
        let said = format!("{error:?}");
        assert!(said.contains("`--forward"), "{said}");
        assert!(said.contains(reason), "{said}");
        assert!(!said.contains("s3cret"), "{said}");
        assert_eq!(error.exit, Exit::Usage);
    };
    let in_a_header = "credentials belong in a header";
    check("https://me:s3cret@h/?token=s3cret", in_a_header);
    check("http://me:s3cret@localhost:4317", in_a_header);
    check("http://localhost:4317/?token=s3cret", "listens there");
    check("gopher://h/?token=s3cret", "the scheme is `gopher`");
    check("http://h:99999/?token=s3cret", "the port is `99999`");
    check("h:4317/?token=s3cret", "not an address");
    check("me:s3cret@h:4317", "not an address");
    check("https://me:s3/cret@h", "not an address");
    check("", "it is empty");

    let config = up(&["--forward", "https://h/?token=s3cret"], &home()).unwrap();
    let shown = format!("{config:?}");
    assert!(shown.contains("https://h/?…"), "{shown}");
    assert!(!shown.contains("s3cret"), "{shown}");
}
