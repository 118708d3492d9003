//! A connection to the daemon, opened on first use and again after it was lost.

use std::time::Duration;

use scened_shared::client::{Client, ClientError, ClientOptions};
use scened_shared::endpoint::Endpoint;
use scened_shared::method::Method;

/// Connecting may start the daemon (systemd listens on its socket), which then opens its store.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// The first question loads a model. By then the caller has long received "nothing", and the answer is for the next key press.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);

/// Blocking, like the client that it holds.
pub(crate) struct Daemon {
    endpoint: Endpoint,
    client: Option<Client>,
}

impl Daemon {
    pub(crate) fn new(endpoint: Endpoint) -> Self {
        Self { endpoint, client: None }
    }

    /// Sends a request. If the daemon restarted since the last one, connects again, once.
    pub(crate) fn call<M: Method>(&mut self, params: &M::Params) -> Result<M::Answer, ClientError> {
        let had_one = self.client.is_some();
        let answer = self.try_call::<M>(params);
        match answer {
            Err(error) if had_one && self.client.is_none() && !matches!(error, ClientError::TimedOut { .. }) => self.try_call::<M>(params),
            answer => answer,
        }
    }

    fn try_call<M: Method>(&mut self, params: &M::Params) -> Result<M::Answer, ClientError> {
        let client = match &mut self.client {
            Some(client) => client,
            none => {
                let options = ClientOptions {
                    client: env!("CARGO_PKG_NAME").to_owned(),
                    version: env!("CARGO_PKG_VERSION").to_owned(),
                    connect_limit: CONNECT_LIMIT,
                    answer_limit: Some(ANSWER_LIMIT),
                };
                none.insert(Client::connect_with(&self.endpoint, &options)?)
            }
        };
        let answer = client.call::<M>(params);
        // After any other error the connection can no longer be used.
        if matches!(&answer, Err(error) if !matches!(error, ClientError::Rpc(_) | ClientError::RequestTooLarge { .. })) {
            self.client = None;
        }
        answer
    }
}
