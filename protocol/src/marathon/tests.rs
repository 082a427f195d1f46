//! Paths, timestamps and apps written and read back.

use serde_json::json;

use super::*;

#[test]
fn paths_are_made_absolute() {
    for (base, text, absolute) in [
        ("/", "a", "/a"),
        ("/", "/a/b/", "/a/b"),
        ("/a/b", "c", "/a/b/c"),
        ("/a/b", "../c", "/a/c"),
        ("/a/b", "/c", "/c"),
        ("/a", "../../..", "/"),
        ("/a", "./b//c", "/a/b/c"),
        ("/a", "", "/a"),
    ] {
        let path = PathId::new(base).resolve(text);
        assert_eq!(path.as_str(), absolute, "{text} below {base}");
    }
}

#[test]
fn paths_name_tasks() {
    let path = PathId::new("/shop/eu/cart");
    assert_eq!(path.safe(), "shop_eu_cart");
    assert_eq!(path.reversed_dotted(), "cart.eu.shop");
    assert_eq!(path.parent().as_str(), "/shop/eu");
    assert_eq!(PathId::new("/shop").parent(), PathId::root());
    assert!(PathId::new("/shop").holds(&path));
    assert!(PathId::root().holds(&path));
    assert!(!PathId::new("/shop/e").holds(&path));
}

#[test]
fn timestamps_have_three_fractional_digits() {
    let time: Timestamp = "2021-07-01T12:00:00+02:00".parse().expect("a time");
    assert_eq!(time.to_string(), "2021-07-01T10:00:00.000Z");
    assert_eq!(time.as_millis(), 1_625_133_600_000);
    assert!("yesterday".parse::<Timestamp>().is_err());
    for millis in [i64::MIN, -1, i64::MAX] {
        let time = Timestamp::from_millis(millis);
        assert_eq!(time.to_string().parse(), Ok(time));
    }
}

#[test]
fn an_app_is_written_in_marathons_order_and_read_back() {
    let text = r#"{"id":"/web","backoffFactor":1.15,"backoffSeconds":1,"constraints":[["hostname","UNIQUE"],["rack","GROUP_BY","3"]],"container":{"type":"DOCKER","docker":{"forcePullImage":false,"image":"nginx","parameters":[],"privileged":false},"volumes":[{"containerPath":"/etc/x","hostPath":"/var/x","mode":"RO"},{"containerPath":"data","persistent":{"type":"root","size":512,"constraints":[]},"mode":"RW"}],"portMappings":[{"containerPort":80,"hostPort":0,"labels":{},"protocol":"tcp","servicePort":9000}]},"cpus":0.5,"disk":0.0,"env":{"A":"b","P":{"secret":"db"}},"executor":"","healthChecks":[{"gracePeriodSeconds":300,"ignoreHttp1xx":false,"intervalSeconds":60,"maxConsecutiveFailures":3,"path":"/ok","portIndex":0,"protocol":"HTTP","ipProtocol":"IPv4","timeoutSeconds":20,"delaySeconds":15}],"instances":1,"labels":{},"maxLaunchDelaySeconds":300,"mem":64.0,"gpus":0,"networks":[{"mode":"container/bridge"}],"resourceLimits":{"cpus":2.0,"mem":"unlimited"},"requirePorts":false,"upgradeStrategy":{"maximumOverCapacity":1.0,"minimumHealthCapacity":1.0},"version":"2021-07-01T10:00:00.123Z","versionInfo":{"lastScalingAt":"2021-07-01T10:00:00.123Z","lastConfigChangeAt":"2021-07-01T10:00:00.123Z"},"killSelection":"YOUNGEST_FIRST","unreachableStrategy":"disabled","role":"*"}"#;
    let app: App = serde_json::from_str(text).expect("an app");
    assert_eq!(serde_json::to_string(&app).expect("text"), text);
    assert!(matches!(
        app.unreachable_strategy,
        UnreachableStrategy::Disabled(_)
    ));
}

#[test]
fn a_plan_names_apps_and_pods() {
    let plan = json!({
        "id": "1b6b",
        "steps": [{"actions": [
            {"action": "StartApplication", "app": "/shop/cart"},
            {"action": "ScalePod", "pod": "/duo"},
        ]}],
        "version": "2021-07-01T10:00:00.123Z",
    });
    let read: DeploymentPlan = serde_json::from_value(plan.clone()).expect("a plan");
    assert_eq!(serde_json::to_value(&read).expect("json"), plan);
}
