//! systemd's signals, boiled down to "something about our units is not as it was".

use tokio::sync::mpsc;
use zbus::message::Type;
use zbus::{MatchRule, Message, MessageStream};

use super::control::next;
use super::{Systemd, SystemdError, refused};

const SENDER: &str = "org.freedesktop.systemd1";
const MANAGER: &str = "org.freedesktop.systemd1.Manager";
const UNIT: &str = "org.freedesktop.systemd1.Unit";
const PROPERTIES: &str = "org.freedesktop.DBus.Properties";
const UNITS: &str = "/org/freedesktop/systemd1/unit";
/// D-Bus escapes the dash.
const OUR_UNITS: &str = "/org/freedesktop/systemd1/unit/mosaic_2d";
const OUR_PREFIX: &str = "mosaic-";

/// Yields once for any number of changes since the last time.
#[derive(Debug)]
pub struct Changes(mpsc::Receiver<()>);

impl Changes {
    /// `None` when the connection ended: connect anew. Cancel safe.
    pub async fn recv(&mut self) -> Option<()> {
        self.0.recv().await
    }
}

impl Systemd {
    /// What happens to a unit `mosaic-*` or to a unit file from now on.
    ///
    /// # Errors
    /// When the bus or the manager refuses the subscription.
    pub async fn changes(&self) -> Result<Changes, SystemdError> {
        let manager = rule(MANAGER, None);
        let units = rule(PROPERTIES, Some(UNIT));
        let listen = async |rule: zbus::Result<MatchRule<'static>>| {
            MessageStream::for_match_rule(rule?, &self.connection, None).await
        };
        let manager = listen(manager).await.map_err(refused("to tell of its jobs"))?;
        let units = listen(units).await.map_err(refused("to tell of its units"))?;
        self.subscribe().await?;
        let (news, receiver) = mpsc::channel(1);
        tokio::spawn(forward(manager, units, news));
        Ok(Changes(receiver))
    }
}

fn rule(interface: &'static str, first_argument: Option<&'static str>) -> zbus::Result<MatchRule<'static>> {
    let rule = MatchRule::builder().msg_type(Type::Signal).sender(SENDER).interface(interface);
    match first_argument {
        Some(argument) => rule.path_namespace(UNITS).add_arg(argument).build(),
        None => rule.build(),
    }
}

/// Drains both streams for as long as somebody listens; an undrained one would hold up the whole connection.
async fn forward(mut manager: MessageStream, mut units: MessageStream, news: mpsc::Sender<()>) {
    loop {
        let message = tokio::select! {
            message = next(&mut manager) => message,
            message = next(&mut units) => message,
            () = news.closed() => return,
        };
        let Some(Ok(message)) = message else { return };
        if concerns_us(&message) {
            // A full channel holds the same news already.
            let _ = news.try_send(());
        }
    }
}

fn concerns_us(message: &Message) -> bool {
    let header = message.header();
    if header.interface().is_some_and(|interface| interface.as_str() == PROPERTIES) {
        return header.path().is_some_and(|path| path.as_str().starts_with(OUR_UNITS));
    }
    let body = message.body();
    let unit = match header.member().map(|member| member.as_str()) {
        Some("UnitFilesChanged") => return true,
        Some("Reloading") => return body.deserialize::<bool>().is_ok_and(|begins| !begins),
        Some("UnitNew" | "UnitRemoved") => {
            body.deserialize::<(String, zbus::OwnedObjectPath)>().map(|args| args.0)
        }
        Some("JobRemoved") => {
            body.deserialize::<(u32, zbus::OwnedObjectPath, String, String)>().map(|args| args.2)
        }
        _ => return false,
    };
    unit.is_ok_and(|unit| unit.starts_with(OUR_PREFIX))
}
