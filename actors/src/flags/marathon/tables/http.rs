//! Flags about the HTTP side, and about several instances.
//! Declares them only.

use super::super::kind::Kind;
use super::super::table::Support::{Inert, No, Yes};
use super::super::table::{Flag, Group, flags};

/// Why all that belongs to HTTPS is refused.
const NO_HTTPS: &str = "HTTPS is not supported yet; leave it out, and put a proxy that speaks HTTPS \
                        in front of --http_port where it is needed";

flags! {
    HTTP;
    [Http]
        http_address: Kind::Text, None, Yes,
            "Address to listen on. Default: 127.0.0.1, so that nothing is reachable from outside \
             unless it is asked for; 0.0.0.0 listens everywhere, as Marathon does.";
        http_port: Kind::PORT, Some("8080"), Yes, "Port to listen on; 0 takes a free one.";
        hostname: Kind::Text, None, Yes,
            "Name under which others reach this instance. Default: the name that belongs to \
             --http_address, or that address.";
        http_credentials: Kind::Text, None, Yes,
            "User and password that every request needs, as user:password. In the environment they \
             are hidden from other users of the machine.";
        http_realm: Kind::Text, Some("Mesosphere"), Yes,
            "Realm that is told to those who give no credentials.";
        http_compression: Kind::Toggle, Some("true"), Yes,
            "Whether answers are compressed for those who ask for it.";
        http_max_concurrent_requests: Kind::COUNT_FROM_1, None, Yes,
            "Requests that are served at a time; more are answered 503. Default: no limit.";
        access_control_allow_origin: Kind::List, None, Yes,
            "Origins whose web pages may read answers (CORS). Default: none.";
        event_stream_max_outstanding_messages: Kind::COUNT_FROM_1, Some("1024"),
            Inert("clients of the event stream share one memory of the latest events, and one that \
                   falls behind it is told how many it missed instead of being cut off"),
            "Events that may wait for a client of the event stream.";
        disable_http: Kind::Switch, Some("false"),
            No("HTTPS is not supported yet, so there would be no way to ask anything"),
            "Whether plain HTTP is off.";
        https_address: Kind::Text, None, No(NO_HTTPS), "Address to listen on with HTTPS.";
        https_port: Kind::PORT, Some("8443"), No(NO_HTTPS), "Port to listen on with HTTPS.";
        ssl_keystore_path: Kind::Path, None, No(NO_HTTPS), "File of keys and certificates.";
        ssl_keystore_password: Kind::Text, None, No(NO_HTTPS), "Password of that file.";
        assets_path: Kind::Path, None,
            No("no files are served from a directory; leave it out"),
            "Directory of web pages.";
    [Leading]
        ha: Kind::Toggle, Some("true"), Yes,
            "Whether there may be several instances, of which one leads. They elect it through \
             --zk; without that an instance is alone and leads at once.";
        on_elected_prepare_timeout: Kind::MILLIS_FROM_1, Some("180000"), Yes,
            "Time a new leader has to get ready.";
        graceful_shutdown_timeout: Kind::MILLIS, Some("45000"), Yes,
            "Time that requests being served have when this instance ends.";
        leader_election_backend: Kind::Choice(&["curator"]), Some("curator"),
            Inert("there is one way to elect a leader, through ZooKeeper"),
            "How a leader is elected.";
        leader_proxy_max_open_connections: Kind::COUNT_FROM_1, Some("64"), Yes,
            "Connections to the leader by which other instances pass requests on.";
        leader_proxy_connection_timeout: Kind::MILLIS_FROM_1, Some("5000"), Yes,
            "Time to connect to the leader.";
        leader_proxy_read_timeout: Kind::MILLIS_FROM_1, Some("10000"), Yes,
            "Time for which the leader may be silent while it answers.";
        leader_proxy_ssl_ignore_hostname: Kind::Switch, Some("false"), No(NO_HTTPS),
            "Whether the name in the leader's certificate is not looked at.";
}
