//! A listing read straight from the bytes of a `ListAgentsResponse`: each agent becomes its view before the next one is
//! read, so that a thousand of them are in memory once.

use fleet_domain::fleet::AgentView;
use prost::DecodeError;
use prost::bytes::Buf as _;
use prost::encoding::{DecodeContext, decode_key, message, skip_field};

use super::agent_from_pb;
use crate::pb;

/// The numbers of its fields.
const AGENTS: u32 = 1;
const HOSTS: u32 = 2;

/// Of an agent that has a name.
const LEAST_BYTES: usize = 64;

/// Every agent and every host that a collector told of.
#[derive(Debug, Default)]
pub struct Listed {
    pub agents: Vec<AgentView>,
    pub hosts: Vec<pb::HostStatus>,
    /// Agents that this version cannot read.
    pub unreadable: usize,
}

impl Listed {
    /// # Errors
    /// When the bytes are no such message.
    pub fn read(bytes: &[u8]) -> Result<Self, DecodeError> {
        // An agent takes more bytes than that, unless somebody wants much memory to be set aside.
        let agents = agents_in(bytes)?.min(bytes.len() / LEAST_BYTES);
        let mut listed = Self { agents: Vec::with_capacity(agents), ..Self::default() };
        let mut left = bytes;
        while left.has_remaining() {
            let (tag, wire) = decode_key(&mut left)?;
            match tag {
                AGENTS => {
                    let mut agent = pb::Agent::default();
                    message::merge(wire, &mut agent, &mut left, DecodeContext::default())?;
                    listed.add(agent);
                }
                HOSTS => {
                    let mut host = pb::HostStatus::default();
                    message::merge(wire, &mut host, &mut left, DecodeContext::default())?;
                    listed.hosts.push(host);
                }
                _ => skip_field(wire, tag, &mut left, DecodeContext::default())?,
            }
        }
        Ok(listed)
    }

    fn add(&mut self, agent: pb::Agent) {
        match agent_from_pb(agent) {
            Ok(view) => self.agents.push(view),
            Err(_) => self.unreadable += 1,
        }
    }
}

impl From<pb::ListAgentsResponse> for Listed {
    fn from(answer: pb::ListAgentsResponse) -> Self {
        let agents = Vec::with_capacity(answer.agents.len());
        let mut listed = Self { agents, hosts: answer.hosts, unreadable: 0 };
        answer.agents.into_iter().for_each(|agent| listed.add(agent));
        listed
    }
}

fn agents_in(mut bytes: &[u8]) -> Result<usize, DecodeError> {
    let mut agents = 0;
    while bytes.has_remaining() {
        let (tag, wire) = decode_key(&mut bytes)?;
        skip_field(wire, tag, &mut bytes, DecodeContext::default())?;
        agents += usize::from(tag == AGENTS);
    }
    Ok(agents)
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;

    fn answer() -> pb::ListAgentsResponse {
        let agent = |state: pb::State, name: &str| pb::Agent {
            key: Some(pb::AgentKey { session: name.to_owned(), ..Default::default() }),
            name: name.to_owned(),
            heartbeat: Some(pb::AgentBeat::default()),
            state: state as i32,
            ..Default::default()
        };
        let agents = vec![
            agent(pb::State::Working, "a"),
            agent(pb::State::Unspecified, "b"),
            agent(pb::State::Dead, "c"),
        ];
        let host = pb::HostStatus { host: "box".to_owned(), up: true, ..Default::default() };
        pb::ListAgentsResponse { agents, hosts: vec![host], generation: 7 }
    }

    #[test]
    fn the_bytes_say_what_the_message_says() {
        let mut bytes = answer().encode_to_vec();
        // A field of a later version.
        prost::encoding::string::encode(99, &"later".to_owned(), &mut bytes);
        let (read, taken) = (Listed::read(&bytes).unwrap(), Listed::from(answer()));
        assert_eq!(read.agents.iter().map(|agent| agent.name.as_str()).collect::<Vec<_>>(), ["a", "c"]);
        assert_eq!((&read.agents, read.unreadable), (&taken.agents, 1));
        assert_eq!((&read.hosts, taken.unreadable), (&taken.hosts, 1));
        assert!(Listed::read(&[]).unwrap().agents.is_empty());
    }

    proptest::proptest! {
        #[test]
        fn cut_and_foreign_bytes_are_refused_and_harm_nothing(cut in 0usize..400, noise in proptest::collection::vec(0u8.., 0..200)) {
            let bytes = answer().encode_to_vec();
            let cut = &bytes[..cut.min(bytes.len())];
            proptest::prop_assert_eq!(Listed::read(cut).is_ok(), pb::ListAgentsResponse::decode(cut).is_ok());
            let _ = Listed::read(&noise);
        }
    }
}
