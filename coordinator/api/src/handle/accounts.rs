//! Users and tokens, for admins.

use axum::http::StatusCode;
use serde_json::json;

use super::sessions::unhashed;
use crate::{
    api::Inner,
    auth::{AccountError, Name, Role, UserView},
    call::{Answered, Call, done, json as answer, ok},
    form::{self, TokenForm, UserChange, UserForm},
    problem::Problem,
};

pub(crate) async fn users(call: Call) -> Answered {
    ok(&json!({"users": call.api.accounts.users()}))
}

pub(crate) async fn add_user(call: Call) -> Answered {
    let UserForm { name, role, password } = call.form()?;
    call.about(name.escape_debug().to_string(), format!("as {}", role.text()));
    let name = Name::try_from(name).map_err(misnamed)?;
    person(role)?;
    form::password(&password)?;
    let hashed = call.api.passwords.hash(password).await.map_err(unhashed)?;
    let view = changed(&call, move |api| api.accounts.add_user(api.clock.now(), name, role, hashed)).await?;
    answer(StatusCode::CREATED, &view)
}

pub(crate) async fn change_user(call: Call) -> Answered {
    let name = named(&call)?;
    let UserChange { role, password } = call.form()?;
    let what = match (role, &password) {
        (None, None) => {
            return Err(Problem::invalid("there is nothing to change", "give a role or a password"));
        }
        (Some(role), None) => format!("as {}", role.text()),
        (Some(role), Some(_)) => format!("as {}, with a new password", role.text()),
        (None, Some(_)) => "with a new password".to_owned(),
    };
    call.about(name.as_str(), what);
    role.map_or(Ok(()), person)?;
    password.as_deref().map_or(Ok(()), form::password)?;
    let afresh = password.is_some();
    let view = set_password(&call, &name, role, password).await?;
    if afresh {
        call.api.sessions.end_all_of(&name, call.session().as_ref());
    }
    ok(&view)
}

pub(crate) async fn remove_user(call: Call) -> Answered {
    let name = named(&call)?;
    call.about(name.as_str(), None);
    let removed = name.clone();
    changed(&call, move |api| api.accounts.remove_user(&removed)).await?;
    call.api.sessions.end_all_of(&name, None);
    done()
}

pub(crate) async fn tokens(call: Call) -> Answered {
    ok(&json!({"tokens": call.api.accounts.tokens()}))
}

pub(crate) async fn add_token(call: Call) -> Answered {
    let form: TokenForm = call.form()?;
    call.about(form.name.escape_debug().to_string(), format!("as {}", form.role.text()));
    let (lasts, role, by) = (form.duration()?, form.role, call.who()?.name);
    let name = Name::try_from(form.name).map_err(misnamed)?;
    let made =
        changed(&call, move |api| api.accounts.add_token(api.clock.now(), name, role, lasts, &by)).await?;
    let mut body = json!(made.shown);
    body["token"] = json!(made.secret.reveal());
    answer(StatusCode::CREATED, &body)
}

pub(crate) async fn revoke(call: Call) -> Answered {
    let id = call.tail()?;
    call.about(id.as_str(), None);
    changed(&call, move |api| api.accounts.revoke(&id)).await?;
    done()
}

/// Another role or password for a user.
pub(super) async fn set_password(
    call: &Call,
    name: &Name,
    role: Option<Role>,
    password: Option<String>,
) -> Result<UserView, Problem> {
    let hashed = match password {
        Some(password) => Some(call.api.passwords.hash(password).await.map_err(unhashed)?),
        None => None,
    };
    let name = name.clone();
    changed(call, move |api| api.accounts.change_user(&name, role, hashed)).await
}

/// A change of the accounts, where it may wait for the disk.
async fn changed<T: Send + 'static>(
    call: &Call,
    change: impl FnOnce(&Inner) -> Result<T, AccountError> + Send + 'static,
) -> Result<T, Problem> {
    let api = call.api.clone();
    let changed = tokio::task::spawn_blocking(move || change(&api)).await;
    changed.map_err(|error| Problem::internal("the change broke off", &error))?.map_err(refused)
}

fn refused(error: AccountError) -> Problem {
    match error {
        AccountError::Missing => Problem::missing(error.to_string()),
        AccountError::Taken => {
            Problem::conflict(error.to_string(), "choose another, or change the one that there is")
        }
        AccountError::TooMany(_) => Problem::conflict(error.to_string(), "remove one that is not needed"),
        AccountError::LastAdmin => Problem::conflict(error.to_string(), "make another admin first"),
        AccountError::Password(error) => unhashed(error),
        error => Problem::internal("the accounts cannot be changed", &error),
    }
}

/// A person's role; bouncers have tokens.
fn person(role: Role) -> Result<(), Problem> {
    match role {
        Role::Bouncer => Err(Problem::invalid("a bouncer is no user", "make a token with the role bouncer")),
        _ => Ok(()),
    }
}

fn named(call: &Call) -> Result<Name, Problem> {
    Name::try_from(call.tail()?).map_err(misnamed)
}

fn misnamed(why: &str) -> Problem {
    Problem::invalid(why, "choose another name")
}
