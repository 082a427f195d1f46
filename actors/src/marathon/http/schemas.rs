//! /v2/schemas: the description of this API for machines. Not in Marathon.
//! Checks no request by it.

use serde_json::json;

use super::{Answered, Call, answers};

/// The API in the form of OpenAPI 3.1; its schemas are JSON Schemas.
pub(super) const OPENAPI: &str = include_str!("openapi.json");

/// Its name below /v2/schemas.
const OPENAPI_NAME: &str = "openapi.json";

/// Routes of /v2/schemas.
pub(super) fn route(call: &Call<'_>, rest: &[&str]) -> Answered {
    match (rest, call.method()) {
        ([], "GET") => answers::ok(&json!({"schemas": [{
            "name": OPENAPI_NAME,
            "description": "all paths, parameters, bodies and answers, as OpenAPI 3.1",
        }]})),
        ([OPENAPI_NAME], "GET") => {
            let body = OPENAPI.as_bytes().to_vec();
            Ok(answers::bytes(actix_web::http::StatusCode::OK, body))
        }
        ([] | [OPENAPI_NAME], _) => Err(answers::not_allowed()),
        _ => Err(answers::no_uri()),
    }
}
