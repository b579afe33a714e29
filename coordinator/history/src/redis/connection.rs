//! A connection that comes back: what is asked is asked again for a while, with growing pauses.

use std::{fmt, time::Duration};

use redis::{
    Client, Cmd, FromRedisValue, RedisError, RetryMethod, ScriptInvocation,
    aio::{ConnectionManager, ConnectionManagerConfig},
};

use crate::HistoryError;

/// Pauses before each new attempt: nine seconds in all, longer than a restart takes.
const PAUSES: [u64; 8] = [50, 100, 200, 400, 800, 1_600, 2_800, 3_000];

/// So long one answer may take.
const ANSWER: Duration = Duration::from_secs(5);

/// A connection, or what becomes one when it is needed.
#[derive(Clone)]
pub(super) struct Connection {
    manager: ConnectionManager,
}

impl Connection {
    pub(super) fn open(url: &str) -> Result<Self, HistoryError> {
        let config = ConnectionManagerConfig::new()
            .set_number_of_retries(1)
            .set_response_timeout(Some(ANSWER))
            .set_connection_timeout(Some(ANSWER));
        let address = |error: RedisError| HistoryError::Address(error.to_string());
        let client = Client::open(url).map_err(address)?;
        Ok(Self { manager: client.get_connection_manager_lazy(config).map_err(address)? })
    }

    /// Sends a command until it is answered. What was carried out and not answered is carried out again.
    pub(super) async fn ask<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, HistoryError> {
        self.patiently(&Question::Command(command)).await
    }

    /// Sends a script until it is answered.
    pub(super) async fn call<T: FromRedisValue>(
        &self,
        script: &ScriptInvocation<'_>,
    ) -> Result<T, HistoryError> {
        self.patiently(&Question::Script(script)).await
    }

    /// Bytes of memory that a key takes.
    pub(super) async fn memory(&self, key: &str) -> Result<u64, HistoryError> {
        let bytes: Option<u64> = self.ask(redis::cmd("MEMORY").arg("USAGE").arg(key)).await?;
        Ok(bytes.unwrap_or_default())
    }

    async fn patiently<T: FromRedisValue>(&self, question: &Question<'_>) -> Result<T, HistoryError> {
        for pause in PAUSES {
            match question.attempt(self.manager.clone()).await {
                Err(error) if passes(&error) => tokio::time::sleep(Duration::from_millis(pause)).await,
                result => return result.map_err(refused),
            }
        }
        question.attempt(self.manager.clone()).await.map_err(refused)
    }
}

/// What is sent.
enum Question<'a> {
    Command(&'a Cmd),
    Script(&'a ScriptInvocation<'a>),
}

impl Question<'_> {
    async fn attempt<T: FromRedisValue>(&self, mut manager: ConnectionManager) -> Result<T, RedisError> {
        match self {
            Self::Command(command) => command.query_async(&mut manager).await,
            Self::Script(script) => script.invoke_async(&mut manager).await,
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connection")
    }
}

/// Whether another attempt may succeed.
fn passes(error: &RedisError) -> bool {
    !matches!(error.retry_method(), RetryMethod::NoRetry)
}

fn refused(error: RedisError) -> HistoryError {
    HistoryError::Redis(error.to_string())
}
