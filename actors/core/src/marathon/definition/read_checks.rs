//! Reads health checks, readiness checks and checks of an app body.
//! Which port a health check means when it names none is decided when the body is normalised.

use tepui_protocol::marathon::{
    AppCheck, AppHttpCheck, AppTcpCheck, Command, CommandCheck, CommandLine, HealthCheck,
    HealthProtocol, HttpScheme, IpProtocol, ReadinessCheck,
};

use super::names::is_legacy_name;
use super::reader::At;

/// A health check. A command makes it a COMMAND check whatever its protocol says.
pub(crate) fn read_health_check(at: &At) -> Option<HealthCheck> {
    at.object()?;
    const PROTOCOLS: [(&str, HealthProtocol); 7] = [
        ("HTTP", HealthProtocol::Http),
        ("HTTPS", HealthProtocol::Https),
        ("TCP", HealthProtocol::Tcp),
        ("COMMAND", HealthProtocol::Command),
        ("MESOS_TCP", HealthProtocol::MesosTcp),
        ("MESOS_HTTP", HealthProtocol::MesosHttp),
        ("MESOS_HTTPS", HealthProtocol::MesosHttps),
    ];
    const FAMILIES: [(&str, IpProtocol); 2] =
        [("IPv4", IpProtocol::IPv4), ("IPv6", IpProtocol::IPv6)];
    let command = at.maybe("command", |command| {
        command.object()?;
        let value = command.required("value", At::text)?;
        Some(CommandLine { value })
    });
    let protocol = at.maybe("protocol", |protocol| protocol.one_of(&PROTOCOLS));
    let protocol = match command {
        Some(_) => HealthProtocol::Command,
        None => protocol.unwrap_or(HealthProtocol::Http),
    };
    let family = at.maybe("ipProtocol", |family| family.one_of(&FAMILIES));
    let any = |at: &At| at.int(i64::from(i32::MIN), i64::from(i32::MAX));
    Some(HealthCheck {
        command,
        grace_period_seconds: at.maybe("gracePeriodSeconds", At::count).unwrap_or(300),
        ignore_http1xx: at.maybe("ignoreHttp1xx", At::boolean),
        interval_seconds: at.maybe("intervalSeconds", At::count).unwrap_or(60),
        max_consecutive_failures: at.maybe("maxConsecutiveFailures", At::count).unwrap_or(3),
        path: at.maybe("path", At::text),
        port: at.maybe("port", At::port),
        port_index: at.maybe("portIndex", At::port),
        protocol,
        ip_protocol: family.unwrap_or_default(),
        timeout_seconds: at.maybe("timeoutSeconds", any).unwrap_or(20),
        delay_seconds: at.maybe("delaySeconds", At::count).unwrap_or(15),
    })
}

fn read_scheme(at: &At) -> Option<HttpScheme> {
    at.one_of(&[("HTTP", HttpScheme::Http), ("HTTPS", HttpScheme::Https)])
}

fn read_url_path(at: &At) -> Option<String> {
    at.text_between(1, 1024)
}

/// A readiness check.
pub(crate) fn read_readiness_check(at: &At) -> Option<ReadinessCheck> {
    at.object()?;
    let name = at.maybe("name", |name| name.text_from(1));
    let port_name = at.maybe("portName", |name| {
        name.pattern((1, usize::MAX), is_legacy_name)
    });
    let timeout = at.maybe("timeoutSeconds", |time| time.int(1, i64::from(i32::MAX)));
    Some(ReadinessCheck {
        name: name.unwrap_or_else(|| "readinessCheck".into()),
        protocol: at.maybe("protocol", read_scheme).unwrap_or_default(),
        path: at
            .maybe("path", read_url_path)
            .unwrap_or_else(|| "/".into()),
        port_name: port_name.unwrap_or_else(|| "http-api".into()),
        interval_seconds: at.maybe("intervalSeconds", At::count).unwrap_or(30),
        timeout_seconds: timeout.unwrap_or(10),
        http_status_codes_for_ready: at
            .maybe("httpStatusCodesForReady", read_statuses)
            .unwrap_or_else(|| vec![200]),
        preserve_last_response: at
            .maybe("preserveLastResponse", At::boolean)
            .unwrap_or(false),
    })
}

fn read_statuses(at: &At) -> Option<Vec<i32>> {
    let statuses = at.set(|status| status.int(100, 999))?;
    if statuses.is_empty() {
        return at.wrong("error.minLength");
    }
    let narrow = statuses.into_iter().map(i32::try_from);
    narrow.collect::<Result<_, _>>().ok()
}

/// A check whose result is only shown.
pub(crate) fn read_check(at: &At) -> Option<AppCheck> {
    at.object()?;
    Some(AppCheck {
        http: at.maybe("http", |http| {
            http.object()?;
            Some(AppHttpCheck {
                port_index: http.maybe("portIndex", At::port),
                port: http.maybe("port", At::port),
                path: http.maybe("path", read_url_path),
                scheme: http.maybe("scheme", read_scheme).unwrap_or_default(),
            })
        }),
        tcp: at.maybe("tcp", |tcp| {
            tcp.object()?;
            Some(AppTcpCheck {
                port_index: tcp.maybe("portIndex", At::port),
                port: tcp.maybe("port", At::port),
            })
        }),
        exec: at.maybe("exec", |exec| {
            exec.object()?;
            let command = exec.required("command", read_command)?;
            Some(CommandCheck { command })
        }),
        interval_seconds: at.maybe("intervalSeconds", At::count).unwrap_or(60),
        timeout_seconds: at.maybe("timeoutSeconds", At::count).unwrap_or(20),
        delay_seconds: at.maybe("delaySeconds", At::count).unwrap_or(15),
    })
}

/// With both, the shell form is used.
fn read_command(at: &At) -> Option<Command> {
    at.object()?;
    if at.member("argv").is_none() || at.member("shell").is_some() {
        let shell = at.required("shell", |shell| shell.text_from(1))?;
        return Some(Command::Shell(shell));
    }
    at.required("argv", |argv| {
        let words = argv.list(At::text)?;
        if words.is_empty() {
            return argv.wrong("error.minLength");
        }
        Some(Command::Argv(words))
    })
}
