//! Starting and ending: FAULTS 31 (the port), and a shutdown that ends.

use std::net::TcpListener;
use std::time::Duration;

use ringlight_server::{Listener, Server, ServerConfig, ServerError};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{Backend, any_ports, open_store};

#[tokio::test(flavor = "multi_thread")]
async fn fault_31_a_port_of_another_ringlight_is_named_with_its_holder() {
    let first = Backend::start().await;
    let held = first.server.addresses();
    let directory = tempfile::tempdir().unwrap();
    let store = open_store(&directory);
    for (listener, port, config) in [
        (
            Listener::Grpc,
            held.grpc.port(),
            ServerConfig {
                grpc: held.grpc,
                ui: held.ui,
                ..any_ports()
            },
        ),
        (
            Listener::Http,
            held.http.port(),
            ServerConfig {
                http: held.http,
                ui: held.ui,
                ..any_ports()
            },
        ),
        (
            Listener::Ui,
            held.ui.port(),
            ServerConfig {
                ui: held.ui,
                ..any_ports()
            },
        ),
    ] {
        let error = Server::start(config, store.clone()).await.unwrap_err();
        let ServerError::PortInUse {
            listener: named,
            holder: Some(holder),
            ..
        } = &error
        else {
            panic!("{error:?}");
        };
        assert_eq!(*named, listener);
        assert_eq!(holder.pid, std::process::id());
        assert_eq!(
            holder.data_dir,
            first.directory.path().join("data").display().to_string()
        );
        assert_eq!(holder.ui, format!("http://{}", held.ui));
        let message = error.to_string();
        assert!(
            message.starts_with(&format!("port {port} for ")),
            "{message}"
        );
        assert!(error.hint().unwrap().contains(&holder.ui));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_31_a_port_of_another_program_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let store = open_store(&directory);
    // It accepts and says nothing; whoever asks it does not wait for ever.
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = held.local_addr().unwrap();
    let config = ServerConfig {
        http: address,
        ..any_ports()
    };
    let error = Server::start(config, store).await.unwrap_err();
    assert!(
        matches!(
            &error,
            ServerError::PortInUse {
                listener: Listener::Http,
                holder: None,
                ..
            }
        ),
        "{error:?}"
    );
    assert_eq!(
        error.to_string(),
        format!(
            "port {} for OTLP over HTTP is in use by another program",
            address.port()
        )
    );
    assert!(error.hint().unwrap().contains("choose another port"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_ends_although_connections_are_open() {
    let directory = tempfile::tempdir().unwrap();
    let mut config = any_ports();
    config.receiver.drain_timeout = Duration::from_millis(200);
    let server = Server::start(config, open_store(&directory)).await.unwrap();
    let addresses = server.addresses();
    let mut idle = TcpStream::connect(addresses.ui).await.unwrap();
    let mut halfway = TcpStream::connect(addresses.http).await.unwrap();
    halfway
        .write_all(b"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\r\n{")
        .await
        .unwrap();
    server.shutdown().await;
    // Both are closed, and the ports are free again.
    let mut rest = Vec::new();
    let _ = idle.read_to_end(&mut rest).await;
    let _ = halfway.read_to_end(&mut rest).await;
    for address in [addresses.grpc, addresses.http, addresses.ui] {
        assert!(TcpStream::connect(address).await.is_err(), "{address}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_out_of_range_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let store = open_store(&directory);
    let config = ServerConfig {
        queries_max: 0,
        ..any_ports()
    };
    let error = Server::start(config, store.clone()).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "`queries_max` is `0`, allowed is 1 to 256"
    );
    let mut config = any_ports();
    config.receiver.requests_max = 0;
    let error = Server::start(config, store).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "`requests_max` is 0, allowed is 1 to 512"
    );
}
