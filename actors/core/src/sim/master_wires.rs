//! Links and streams of masters, as their skins have them: what arrives and what is sent.
//! What a master does about it, its core decides.

use tepui_protocol::link::{AgentToMaster, Frame, MasterToAgent};
use tepui_protocol::v1::{MasterInfo, scheduler};

use super::events::{Event, Parcel};
use super::masters::Ping;
use super::net::{ConnId, Kind, Side};
use super::world::{World, micros};
use crate::ids::AgentId;
use crate::master::messages::{Input, LinkId, StreamId};

impl World {
    fn link_mut(&mut self, life: u64, link: LinkId) -> Option<&mut Ping> {
        self.masters.get_mut(&life)?.links.get_mut(&link)
    }

    pub(super) fn tell_agent(&mut self, life: u64, link: LinkId, message: Box<MasterToAgent>) {
        self.check_told_agent(life, link, &message);
        let Some(message) = self.sabotaged_order(message) else {
            return;
        };
        let is_outdated = self.is_outdated(life);
        let Some(ping) = self.link_mut(life, link) else {
            return;
        };
        let welcomes = matches!(
            *message,
            MasterToAgent::Registered { .. } | MasterToAgent::Reregistered { .. }
        );
        ping.registered |= welcomes;
        let conn = ping.conn;
        self.counts.outdated_welcomes += u64::from(welcomes && is_outdated);
        let shown = super::view::order(&message);
        self.note(format_args!("M{life} > {link:?}: {shown}"));
        self.send(conn, Side::Client, Parcel::ToAgent(message));
    }

    pub(super) fn tell_framework(
        &mut self,
        life: u64,
        stream: &StreamId,
        event: Box<scheduler::Event>,
    ) {
        let event = self.sabotaged_event(event);
        if let Some(asked) = &event.inverse_offers {
            self.check_inverse_offers(life, &asked.inverse_offers);
        }
        let master = self.masters.get(&life);
        let conn = master.and_then(|master| master.streams.get(stream).copied());
        if let Some(conn) = conn {
            let shown = super::view::event(&event);
            self.note(format_args!("M{life} > {}: {shown}", stream.0));
            self.send(conn, Side::Client, Parcel::Event(event));
        }
    }

    /// An agent's connection was accepted.
    pub(super) fn link_opened(&mut self, life: u64, conn: ConnId, agent: usize) {
        let peer_ip = self.agents.get(agent).map(|host| host.ip.clone());
        let Some(master) = self.masters.get_mut(&life) else {
            return;
        };
        let link = LinkId(master.next_link);
        master.next_link += 1;
        let ping = Ping {
            conn,
            unanswered: 0,
            is_given_up: false,
            registered: false,
            named: None,
        };
        master.links.insert(link, ping);
        if let Some(known) = self.net.get_mut(conn)
            && let Kind::Link { link: slot, .. } = &mut known.kind
        {
            *slot = Some(link);
        }
        let info = master.core.snapshot().master;
        let hello = MasterToAgent::Hello {
            epoch: link.0,
            master: MasterInfo::clone(&info).into(),
        };
        let interval = self.store.settings.agent_ping_timeout;
        self.send(conn, Side::Client, Parcel::ToAgent(Box::new(hello)));
        self.note(format_args!("{link:?} of M{life} is of agent {agent}"));
        let peer_ip = peer_ip.unwrap_or_default();
        self.master_input(life, Input::LinkOpened { link, peer_ip });
        self.after(micros(interval), Event::Ping { life, link });
    }

    pub(super) fn master_hears(
        &mut self,
        life: u64,
        conn: ConnId,
        link: Option<LinkId>,
        frame: Frame<AgentToMaster>,
    ) {
        let Some(link) = link else {
            return self.fail(format!("a frame before {conn:?} was opened"));
        };
        let Some(ping) = self.link_mut(life, link) else {
            return;
        };
        ping.unanswered = 0;
        let is_back = std::mem::take(&mut ping.is_given_up);
        if is_back {
            self.counts.responsive += 1;
            self.note(format_args!("{link:?} of M{life} answers after all"));
            self.master_input(life, Input::LinkResponsive { link });
        }
        if frame.epoch != link.0 || frame.body == AgentToMaster::Pong {
            return;
        }
        if let AgentToMaster::Reregister(report) = &frame.body
            && let Some(ping) = self.link_mut(life, link)
        {
            let id = report.register.info.id.as_ref();
            ping.named = id.map(|id| AgentId::from(id.value.as_str()));
        }
        let message = Box::new(frame.body);
        let shown = super::view::said(&message);
        self.note(format_args!("{link:?} > M{life}: {shown}"));
        self.master_input(life, Input::FromAgent { link, message });
    }

    pub(super) fn master_lost_link(&mut self, life: u64, link: Option<LinkId>) {
        let (Some(link), Some(master)) = (link, self.masters.get_mut(&life)) else {
            return;
        };
        master.links.remove(&link);
        self.note(format_args!("{link:?} of M{life} is closed"));
        self.master_input(life, Input::LinkClosed { link });
    }

    pub(super) fn ping(&mut self, life: u64, link: LinkId) {
        let most = self.store.settings.max_agent_ping_timeouts;
        let interval = micros(self.store.settings.agent_ping_timeout);
        let Some(ping) = self.link_mut(life, link) else {
            return;
        };
        let is_unresponsive = ping.unanswered > 0 && ping.unanswered == most;
        ping.unanswered += 1;
        ping.is_given_up |= is_unresponsive;
        let (conn, connected) = (ping.conn, ping.registered);
        let message = Box::new(MasterToAgent::Ping { connected });
        self.send(conn, Side::Client, Parcel::ToAgent(message));
        self.after(interval, Event::Ping { life, link });
        if is_unresponsive {
            self.counts.unresponsive += 1;
            self.note(format_args!("{link:?} of M{life} does not answer"));
            self.master_input(life, Input::LinkUnresponsive { link });
        }
    }

    pub(super) fn master_subscribes(
        &mut self,
        life: u64,
        conn: ConnId,
        subscribe: scheduler::call::Subscribe,
    ) {
        let stream = StreamId(format!("s{}", self.number()).into());
        let Some(master) = self.masters.get_mut(&life) else {
            return;
        };
        master.streams.insert(stream.clone(), conn);
        if let Some(known) = self.net.get_mut(conn)
            && let Kind::Stream { stream: slot, .. } = &mut known.kind
        {
            *slot = Some(stream.clone());
        }
        self.counts.outdated_subscriptions += u64::from(self.is_outdated(life));
        self.send(conn, Side::Client, Parcel::Streaming(stream.clone()));
        self.master_input(
            life,
            Input::Subscribe {
                stream,
                subscribe: Box::new(subscribe),
                principal: None,
            },
        );
    }

    pub(super) fn master_lost_stream(&mut self, life: u64, stream: Option<StreamId>) {
        let (Some(stream), Some(master)) = (stream, self.masters.get_mut(&life)) else {
            return;
        };
        master.streams.remove(&stream);
        self.note(format_args!("stream {} is closed", stream.0));
        self.master_input(life, Input::StreamClosed { stream });
    }

    pub(super) fn master_called(
        &mut self,
        life: u64,
        conn: ConnId,
        call: scheduler::Call,
        stream: &StreamId,
    ) {
        let reply = self.expect_reply(life, Some(conn));
        let shown = super::view::call(&call);
        self.note(format_args!("{} > M{life}: {shown}", stream.0));
        self.master_input(
            life,
            Input::Call {
                call: Box::new(call),
                stream: Some(stream.0.to_string()),
                principal: None,
                reply,
            },
        );
    }
}
