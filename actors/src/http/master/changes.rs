//! `/reserve`, `/unreserve`, `/create-volumes`, `/destroy-volumes`, `/teardown`: changes that are
//! asked for in the form of a query. Whether they can be made is decided by the master's core.

use actix_web::dev::Payload;
use actix_web::http::Method;
use actix_web::{HttpRequest, HttpResponse};
use tepui_core::ids::{AgentId, FrameworkId};
use tepui_core::master::operator::Request;
use tepui_protocol::v1::Resource;
use tepui_protocol::v1::offer::Operation;
use tepui_protocol::v1::offer::operation::{Create, Destroy, Reserve, Type, Unreserve};

use super::{Face, bad_request, operator, parse};
use crate::http::form::Fields;
use crate::http::{body, method_not_allowed};

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    Reserve,
    Unreserve,
    CreateVolumes,
    DestroyVolumes,
}

pub(super) async fn handle(
    change: Change,
    request: &HttpRequest,
    payload: Payload,
    face: &Face,
) -> HttpResponse {
    let read = |fields: &Fields| read(change, fields);
    match serve(request, payload, face, read).await {
        Ok(response) | Err(response) => response,
    }
}

pub(super) async fn teardown(request: &HttpRequest, payload: Payload, face: &Face) -> HttpResponse {
    match serve(request, payload, face, read_teardown).await {
        Ok(response) | Err(response) => response,
    }
}

async fn serve(
    request: &HttpRequest,
    payload: Payload,
    face: &Face,
    read: impl Fn(&Fields) -> Result<Request, String>,
) -> Result<HttpResponse, HttpResponse> {
    if request.method() != Method::POST {
        return Err(method_not_allowed("POST", request.method().as_str()));
    }
    let body = body::read(request, payload, &face.memory).await?;
    let fields = Fields::decode(&body.bytes)
        .map_err(|error| bad_request(format!("Unable to decode query string: {error}")))?;
    let call = read(&fields).map_err(bad_request)?;
    operator::ask(face, call).await
}

/// The request that the fields of a body make; Mesos: `Master::Http::reserve` and the like.
fn read(change: Change, fields: &Fields) -> Result<Request, String> {
    let agent = AgentId::from(field(fields, "slaveId")?);
    let mut operation = Operation::default();
    let kind = match change {
        Change::Reserve => {
            let resources = resources(fields, "resources", "Error parsing")?;
            let source = match fields.get("source") {
                Some(_) => self::resources(fields, "source", "Error parsing")?,
                None => Vec::new(),
            };
            operation.reserve = Some(Reserve { resources, source });
            Type::Reserve
        }
        Change::Unreserve => {
            let resources = resources(fields, "resources", "Error in parsing")?;
            operation.unreserve = Some(Unreserve { resources });
            Type::Unreserve
        }
        Change::CreateVolumes => {
            let volumes = resources(fields, "volumes", "Error in parsing")?;
            operation.create = Some(Create { volumes });
            Type::Create
        }
        Change::DestroyVolumes => {
            let volumes = resources(fields, "volumes", "Error in parsing")?;
            operation.destroy = Some(Destroy { volumes });
            Type::Destroy
        }
    };
    operation.r#type = Some(kind.into());
    Ok(Request::ChangeResources {
        agent,
        operation: Box::new(operation),
    })
}

fn read_teardown(fields: &Fields) -> Result<Request, String> {
    let id = field(fields, "frameworkId")?;
    Ok(Request::Teardown(FrameworkId::from(id)))
}

fn field<'a>(fields: &'a Fields, name: &str) -> Result<&'a str, String> {
    let missing = || format!("Missing '{name}' query parameter in the request body");
    fields.get(name).ok_or_else(missing)
}

/// `failed` is how the refusal of JSON that is wrong begins.
fn resources(fields: &Fields, name: &str, failed: &str) -> Result<Vec<Resource>, String> {
    parse::array(field(fields, name)?.as_bytes())
        .map_err(|error| format!("{failed} '{name}' query parameter in the request body: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(change: Change, body: &str) -> Result<Request, String> {
        read(change, &Fields::decode(body.as_bytes()).unwrap())
    }

    const CPUS: &str = "[{\"name\":\"cpus\",\"type\":\"SCALAR\",\"scalar\":{\"value\":1}}]";

    #[test]
    fn fields_become_requests() {
        let body = format!("slaveId=S%200&resources={CPUS}&source={CPUS}");
        let Ok(Request::ChangeResources { agent, operation }) = asked(Change::Reserve, &body)
        else {
            panic!("no request");
        };
        assert_eq!(agent.as_str(), "S 0");
        assert_eq!(operation.r#type(), Type::Reserve);
        let reserve = operation.reserve.unwrap();
        assert_eq!((reserve.resources.len(), reserve.source.len()), (1, 1));
        for (change, name, kind) in [
            (Change::Unreserve, "resources", Type::Unreserve),
            (Change::CreateVolumes, "volumes", Type::Create),
            (Change::DestroyVolumes, "volumes", Type::Destroy),
        ] {
            let body = format!("slaveId=S0&{name}={CPUS}");
            let Ok(Request::ChangeResources { operation, .. }) = asked(change, &body) else {
                panic!("no request");
            };
            assert_eq!(operation.r#type(), kind);
        }
        let fields = Fields::decode(b"frameworkId=F").unwrap();
        assert_eq!(
            read_teardown(&fields),
            Ok(Request::Teardown(FrameworkId::from("F")))
        );
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        let error = |change, body| asked(change, body).unwrap_err();
        let missing = |name| format!("Missing '{name}' query parameter in the request body");
        let none = Fields::default();
        assert_eq!(read_teardown(&none), Err(missing("frameworkId")));
        assert_eq!(error(Change::Reserve, "resources=[]"), missing("slaveId"));
        assert_eq!(error(Change::Unreserve, "slaveId=S"), missing("resources"));
        assert_eq!(
            error(Change::CreateVolumes, "slaveId=S"),
            missing("volumes")
        );
        assert_eq!(
            error(Change::Reserve, "slaveId=S&resources={}"),
            "Error parsing 'resources' query parameter in the request body: Unexpected JSON type \
             parsed"
        );
        assert_eq!(
            error(Change::Reserve, "slaveId=S&resources=[]&source=[1]"),
            "Error parsing 'source' query parameter in the request body: Expecting a JSON object"
        );
        let text = error(Change::DestroyVolumes, "slaveId=S&volumes=x");
        let begins = "Error in parsing 'volumes' query parameter in the request body: syntax error";
        assert!(text.starts_with(begins), "{text}");
    }
}
