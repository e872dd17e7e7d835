//! Taking a runner without a token: the job proves by an artifact which run it is part of.

use actix_web::{HttpRequest, HttpResponse, web::Data};
use daemon::error::{ApiError, Code};
use github::artifact_auth::RunIdentity;
use shared::{job_spec::JobSpec, values::Count};

use super::{Desk, grant::grant, parameters::asked};
use monitor_core::Take;

/// `POST /select-runner?unique_id&qualified_repo&run_id`
pub async fn select_runner(
    desk: Data<Desk>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    if desk.is_queue_member {
        return Err(ApiError::new(
            Code::QueueMember,
            "this server belongs to a queue, where all jobs stand in one line; ask there",
        ));
    }
    let claim = asked(&request)?.claim;
    let RunIdentity {
        unique_id,
        qualified_repo,
        run_id,
        profile_key,
        count,
    } = desk.proofs.verify(claim).await?;
    let job = JobSpec {
        unique_id,
        profile_key,
        count: count.unwrap_or(Count::ONE),
        qualified_repo,
        run_id,
    };
    let take = Take {
        job,
        attempt: None,
        enqueued_at: None,
    };
    let granted = grant(&desk, take).await?;
    Ok(match count {
        Some(_) => granted.several(),
        None => granted.single(),
    })
}
