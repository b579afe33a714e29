//! Messages by mail.

use std::time::Duration;

use lettre::{
    AsyncSmtpTransport, AsyncTransport as _, Message as Letter, Tokio1Executor,
    message::{
        Mailbox,
        header::{ContentType, Header, HeaderName, HeaderValue},
    },
    transport::smtp::{
        Error,
        authentication::Credentials,
        client::{Certificate, CertificateStore, Tls, TlsParameters},
    },
};
use tokio::time::timeout;

use super::{Patience, Words, message::Message};
use crate::{
    backoff::chance,
    settings::{Email, HostPort, Security, SetupError},
    text, tls,
    trouble::{Trouble, said},
};

/// More receivers belong on a mailing list.
const RECEIVERS: usize = 50;

/// RFC 5322, section 2.1.1, wants lines of 78 characters; longer subjects are folded, and nobody reads them to the end.
const SUBJECT: usize = 150;

const USUAL_SUBJECT: (&str, &str) =
    ("[SmartFW] {{title}} from {{source}} on {{node}}", "[SmartFW] {{total}} alerts: {{classes}}");

const USUAL_TEXT: (&str, &str) = (
    "{{title}} from {{source}} on {{node}} at {{time}}\n\n{{reason}}\n\nDone: {{action}}\nConfidence: {{confidence}}\n\
     Repeated since last told: {{repeats}}\nId: {{id}}\n",
    "{{total}} alerts from {{first}} to {{last}}, and {{repeats}} repetitions.\n\nClasses: {{classes}}\n\
     Sources: {{sources}}\nNodes: {{nodes}}\n",
);

/// People who get mail.
pub(crate) struct Mail {
    server: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    to: Vec<Mailbox>,
    subject: Words,
    text: Words,
    patience: Duration,
}

impl Mail {
    pub(crate) fn new(settings: &Email, patience: Patience) -> Result<Self, SetupError> {
        let Email { from, to, subject, text, digest, .. } = settings;
        if to.is_empty() || to.len() > RECEIVERS {
            return Err(SetupError::Receivers(RECEIVERS));
        }
        Ok(Self {
            server: server(settings, patience)?,
            from: mailbox(from)?,
            to: to.iter().map(|to| mailbox(to)).collect::<Result<_, _>>()?,
            subject: Words::new("subject", subject.as_deref(), None, USUAL_SUBJECT)?,
            text: Words::new("text", text.as_deref(), digest.as_deref(), USUAL_TEXT)?,
            patience: patience.answer,
        })
    }

    /// Sends a message; gives what the server says.
    pub(crate) async fn send(&self, message: &Message) -> Result<String, Trouble> {
        let letter = self.letter(message)?;
        let sent = timeout(self.patience, self.server.send(letter)).await;
        let answer = sent.map_err(|_| Trouble::Silent(self.patience))?.map_err(|error| trouble(&error))?;
        let lines: Vec<&str> = answer.message().collect();
        Ok(said(&format!("{} {}", answer.code(), lines.join(" "))))
    }

    fn letter(&self, message: &Message) -> Result<Letter, Trouble> {
        // Fields have no lines already; the template's own are not for a subject.
        let subject = text::shown(&self.subject.say(message, str::to_owned), SUBJECT);
        let domain = self.from.email.domain();
        let letter = Letter::builder()
            .from(self.from.clone())
            .subject(subject)
            .message_id(Some(format!("<{:016x}{:016x}@{domain}>", chance(), chance())))
            .header(AutoSubmitted)
            .header(ContentType::TEXT_PLAIN);
        let letter = self.to.iter().fold(letter, |letter, to| letter.to(to.clone()));
        let text = self.text.say(message, str::to_owned);
        letter.body(text).map_err(|error| Trouble::Unsayable(said(&error.to_string())))
    }
}

/// RFC 3834, section 5: no holiday's answer comes back.
#[derive(Clone)]
struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}

fn mailbox(text: &str) -> Result<Mailbox, SetupError> {
    text.parse().map_err(|_| SetupError::Mailbox(text.to_owned()))
}

/// A password never goes in the open.
fn server(settings: &Email, patience: Patience) -> Result<AsyncSmtpTransport<Tokio1Executor>, SetupError> {
    let Email { server, security, user, password, .. } = settings;
    let place = HostPort::parse(server).ok_or(SetupError::Server)?;
    let tls = match security {
        Security::Starttls => Tls::Required(parameters(settings, &place)?),
        Security::Tls => Tls::Wrapper(parameters(settings, &place)?),
        Security::None if place.is_here() => Tls::None,
        Security::None => return Err(SetupError::Open),
    };
    let builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(place.host)
        .port(place.port)
        .tls(tls)
        .timeout(Some(patience.answer));
    match (user, password, security) {
        (None, None, _) => Ok(builder.build()),
        (Some(user), Some(password), Security::Starttls | Security::Tls) => {
            let password = password.read()?.as_str().to_owned();
            Ok(builder.credentials(Credentials::new(user.clone(), password)).build())
        }
        _ => Err(SetupError::Login),
    }
}

fn parameters(settings: &Email, place: &HostPort) -> Result<TlsParameters, SetupError> {
    let builder = TlsParameters::builder(place.host.clone());
    let builder = match &settings.ca_file {
        Some(path) => {
            // Read here as well, for its errors: what is no certificate lettre passes over.
            tls::client(Some(path))?;
            let authority = Certificate::from_pem(&tls::pem(path)?);
            let authority = authority.map_err(|_| tls::BadTls::Empty(path.clone()))?;
            builder.certificate_store(CertificateStore::None).add_root_certificate(authority)
        }
        None => builder,
    };
    builder.build_rustls().map_err(|error| SetupError::Http(error.to_string()))
}

fn trouble(error: &Error) -> Trouble {
    let mut deepest: &dyn std::error::Error = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    let why = said(&deepest.to_string());
    let status = error.status().map(u16::from);
    match status {
        Some(status) if error.is_permanent() => Trouble::Refused { status, said: why },
        Some(status) => Trouble::Busy { status, said: why, after: None },
        None if error.is_tls() => Trouble::Tls(why),
        None if error.is_response() || error.is_client() => Trouble::Nonsense(why),
        None => Trouble::Unreachable(why),
    }
}

#[cfg(test)]
mod tests;
