//! Logging in and out.

use axum::{
    body::Body,
    http::{HeaderValue, Response, header::SET_COOKIE},
};
use serde_json::json;

use crate::{
    audit::Deed,
    auth::{MOST_PASSWORD, Name, PasswordError, Principal, Role, Via},
    call::{Answered, Call, done, ok},
    dispatch::SESSION,
    form::{self, LoginForm, PasswordForm},
    problem::Problem,
};

pub(crate) async fn login(call: Call) -> Answered {
    let LoginForm { name, password } = call.form()?;
    let now = call.api.clock.now();
    let name = Name::try_from(name).map_err(|_| wrong())?;
    if let Err(often) = call.api.limiter.attempt(now, name.as_str(), call.from) {
        if often.first {
            noted(&call, &name, None, Some("too many attempts".to_owned()));
        }
        return Err(Problem::too_often("this address or this user tried too often", often.seconds));
    }
    if password.chars().count() > MOST_PASSWORD {
        return Err(wrong());
    }
    let user = call.api.accounts.user(&name);
    let right = call.api.passwords.verify(password, user.as_ref().map(|user| user.password.clone())).await;
    let (Some(user), true) = (user, right.map_err(unhashed)?) else {
        noted(&call, &name, None, Some("wrong name or password".to_owned()));
        return Err(wrong());
    };
    call.api.limiter.succeeded(name.as_str(), call.from);
    let cookie = call
        .api
        .sessions
        .begin(now, &name)
        .map_err(|error| Problem::internal("no session begins", &error))?;
    noted(&call, &name, Some(user.role), None);
    let mut response = ok(&json!({"name": name, "role": user.role, "session": true}))?;
    set_cookie(
        &mut response,
        &format!("{SESSION}={}; Path=/; Secure; HttpOnly; SameSite=Strict", cookie.reveal()),
    )?;
    Ok(response)
}

pub(crate) async fn logout(call: Call) -> Answered {
    let Some(session) = call.session() else {
        return Err(Problem::conflict("a token has no session", "revoke it at DELETE /api/v1/tokens/ID"));
    };
    call.api.sessions.end(&session);
    let mut response = done()?;
    set_cookie(&mut response, &format!("{SESSION}=; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=0"))?;
    Ok(response)
}

pub(crate) async fn me(call: Call) -> Answered {
    let Principal { name, role, via, .. } = call.principal()?;
    ok(&json!({"name": name, "role": role, "session": matches!(via, Via::Session(_))}))
}

pub(crate) async fn password(call: Call) -> Answered {
    let PasswordForm { old, new } = call.form()?;
    let Some(session) = call.session() else {
        return Err(Problem::conflict("a token has no password", "log in, and change it then"));
    };
    let name = Name::try_from(call.principal()?.name.clone()).map_err(|_| wrong())?;
    call.about(name.as_str(), None);
    form::password(&new)?;
    // Whoever finds a session open guesses no faster than whoever finds none.
    let often = call.api.limiter.attempt(call.api.clock.now(), name.as_str(), call.from);
    often.map_err(|often| Problem::too_often("this address or this user tried too often", often.seconds))?;
    let kept = call.api.accounts.user(&name).map(|user| user.password);
    let right = old.chars().count() <= MOST_PASSWORD
        && call.api.passwords.verify(old, kept).await.map_err(unhashed)?;
    if !right {
        return Err(Problem::forbidden("the old password is wrong", "an admin can set a new one"));
    }
    call.api.limiter.succeeded(name.as_str(), call.from);
    super::accounts::set_password(&call, &name, None, Some(new)).await?;
    call.api.sessions.end_all_of(&name, Some(&session));
    done()
}

/// The same for a name that there is and one that there is not.
fn wrong() -> Problem {
    let status = axum::http::StatusCode::UNAUTHORIZED;
    Problem::new(
        status,
        "nobody is logged in",
        "the name or the password is wrong",
        "try again, or ask an admin",
    )
}

pub(super) fn unhashed(error: PasswordError) -> Problem {
    match error {
        PasswordError::Busy => Problem::busy("too many logins at once", 5),
        error => Problem::internal("the password cannot be checked", &error),
    }
}

fn noted(call: &Call, name: &Name, role: Option<Role>, refused: Option<String>) {
    let who = role.map(|_| name.as_str().to_owned());
    let (role, target) = (role.map(Role::text), name.as_str().to_owned());
    let deed = Deed { who, role, from: call.from, action: "login", target, terms: None, refused };
    call.api.audit.note(call.api.clock.now(), deed);
}

fn set_cookie(response: &mut Response<Body>, text: &str) -> Result<(), Problem> {
    let value = HeaderValue::from_str(text).map_err(|error| Problem::internal("no cookie", &error))?;
    response.headers_mut().insert(SET_COOKIE, value);
    Ok(())
}
