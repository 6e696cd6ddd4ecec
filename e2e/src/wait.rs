//! Waiting for what must come, with a deadline; never for a time to pass.

use std::fmt::Debug;
use std::time::Duration;

use kube::runtime::wait::{Condition, await_condition};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use tokio::time::Instant;

/// Between two looks at something that cannot be watched.
const PAUSE: Duration = Duration::from_millis(50);

/// Looks until `look` gives a value. `what` says what is waited for.
pub async fn until<T>(what: &str, within: Duration, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + within;
    loop {
        if let Some(value) = look().await {
            return value;
        }
        assert!(Instant::now() < deadline, "waited {within:?} in vain: {what}");
        tokio::time::sleep(PAUSE).await;
    }
}

/// Watches one object until the condition holds, and gives it; `None` when it is gone by then.
pub async fn object<K>(
    api: &Api<K>,
    name: &str,
    within: Duration,
    what: &str,
    condition: impl Condition<K>,
) -> Option<K>
where
    K: Clone + Debug + Send + DeserializeOwned + Resource + 'static,
{
    match tokio::time::timeout(within, await_condition(api.clone(), name, condition)).await {
        Ok(result) => result.expect("the object can be watched"),
        Err(_) => {
            let last = api.get_opt(name).await;
            panic!("waited {within:?} in vain for {name}: {what}\nit is now {last:#?}")
        }
    }
}
