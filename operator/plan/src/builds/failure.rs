//! Why a build failed, for people: which step, what it said at last, and where all of it can be read.

use muon_crds::ConditionType;

use super::seen::SeenStep;
use super::{BUILD, FETCH, Valid};
use crate::finding::Invalid;

/// What a container was killed with when it had used up its memory, or was killed otherwise.
const KILLED: i32 = 137;

/// What is said of a failed Job. `reason` and `message` are the Job's own; `step` is how its last pod ended, when that pod is
/// still there. Nothing is tried again by itself: the same input would fail again.
pub fn failure(valid: &Valid, reason: &str, message: &str, step: Option<&SeenStep>) -> Invalid {
    let job = &valid.job;
    let again = format!("to try once more with the same source: kubectl delete job/{job}");
    let stalled = |reason, message| Invalid::stalled(ConditionType::Built, reason, message);
    if reason == "DeadlineExceeded" {
        let message = format!(
            "the build was not done within {} s and was stopped: give it more time with build.timeoutSeconds; {again}",
            valid.deadline
        );
        return stalled("BuildTimeout", message);
    }
    let Some(step) = step else {
        return stalled("BuildFailed", format!("Job {job} failed: {message}; {again}"));
    };
    let said = step.message.trim_end();
    if step.container == BUILD {
        let how = match (step.reason.as_str(), step.exit_code) {
            ("OOMKilled", _) => "ran out of memory (raise build.resources.limits.memory)".to_owned(),
            (_, KILLED) => "was killed".to_owned(),
            (_, code) => format!("ended with exit code {code}"),
        };
        let log = format!("kubectl logs job/{job} -c {BUILD}");
        let message = format!("the builder {how}; its whole log: {log}; {again}; its last lines:\n{said}");
        return stalled("BuildFailed", message);
    }
    let what = if step.container == FETCH { "the source could not be taken" } else { "the result could not be stored" };
    let code = step.exit_code;
    let said = if said.is_empty() { format!("exit code {code}") } else { said.to_owned() };
    stalled("BuildFailed", format!("{what}: {said}; {again}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::Heals;
    use crate::meta::Owner;

    fn valid() -> Valid {
        Valid {
            owner: Owner {
                api_version: String::new(),
                kind: String::new(),
                name: String::new(),
                uid: String::new(),
                namespace: String::new(),
            },
            environment: String::new(),
            key: String::new(),
            job: "build-1".to_owned(),
            source: String::new(),
            image: String::new(),
            command: Vec::new(),
            resources: Default::default(),
            deadline: 600,
            registries: None,
            pull_secrets: Vec::new(),
            agent_image: String::new(),
            pull_policy: String::new(),
            store: String::new(),
        }
    }

    fn step(container: &str, exit_code: i32, reason: &str, message: &str) -> SeenStep {
        SeenStep { container: container.into(), exit_code, reason: reason.into(), message: message.into() }
    }

    #[test]
    fn the_step_and_its_last_words_are_said() {
        let syntax = "  File \"main.py\", line 3\nSyntaxError: '(' was never closed\n";
        for (reason, step, expected) in [
            ("PodFailurePolicy", Some(step("build", 2, "Error", syntax)), ["exit code 2", "line 3\nSyntaxError"]),
            (
                "PodFailurePolicy",
                Some(step("build", 137, "OOMKilled", "")),
                ["ran out of memory", "job/build-1 -c build"],
            ),
            ("PodFailurePolicy", Some(step("build", 137, "Error", "")), ["was killed", "job/build-1 -c build"]),
            ("PodFailurePolicy", Some(step("fetch", 1, "Error", "too large")), ["the source", "too large"]),
            ("BackoffLimitExceeded", Some(step("upload", 75, "Error", "")), ["could not be stored", "exit code 75"]),
            ("BackoffLimitExceeded", None, ["Job build-1 failed", "delete job/build-1"]),
            ("DeadlineExceeded", None, ["within 600 s", "timeoutSeconds"]),
        ] {
            let said = failure(&valid(), reason, "m", step.as_ref());
            assert_eq!(said.heals, Heals::ByTheUser);
            assert!(expected.iter().all(|part| said.message.contains(part)), "{}", said.message);
        }
    }
}
