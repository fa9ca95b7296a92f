//! The users of the server: dispatches, people who come and go, data.

use std::time::Duration;

use agent_proto::livekit as wire;
use agent_room::{DisconnectReason, Publish};
use agent_server::{CloseRoom, CreateDispatch, DeleteDispatch, Grant, Join, MemberId, OpenRoom, SendData};

use super::ending::free_slots;
use super::event::Event;
use super::plan::AGENT;
use super::world::World;

/// The number of names of rooms: some are used again.
const ROOMS: usize = 60;

/// What users have done so far.
#[derive(Default)]
pub(super) struct Traffic {
    dispatched: usize,
    people: u64,
    /// The dispatches that can be deleted.
    dispatches: Vec<(String, String)>,
    /// The dispatches after the faults.
    pub(super) fresh: Vec<String>,
}

impl World {
    /// The next thing that users do.
    pub(super) fn traffic(&mut self) {
        if !self.is_faulty() {
            return;
        }
        let planned = self.plan.dispatches;
        let left = u32::try_from(planned.saturating_sub(self.traffic.dispatched).max(1)).unwrap_or(1);
        let time = (self.plan.heals_at - self.now).saturating_sub(Duration::from_secs(5));
        let gap = (time / left / 2).max(Duration::from_millis(20));
        match self.rng.u8(..8) {
            0..4 => self.dispatch_somewhere(),
            4..6 => self.person_joins(),
            6 => self.send_data(),
            _ => self.delete_something(),
        }
        let wait = self.up_to(gap * 2);
        self.queue.add(self.now + wait, Event::Traffic);
    }

    fn room_name(&mut self) -> String {
        format!("room-{}", self.rng.usize(..ROOMS))
    }

    pub(super) fn dispatch_somewhere(&mut self) {
        let room = self.room_name();
        // Before the dispatch, after it, or not at all.
        let people = self.rng.u8(..4);
        if people == 0 {
            self.join_person(room.clone());
        }
        self.dispatch(room.clone());
        if people > 1 {
            self.join_person(room);
        }
    }

    /// Dispatches an agent; returns the id of the dispatch.
    fn dispatch(&mut self, room: String) -> Option<String> {
        self.traffic.dispatched += 1;
        let metadata = if self.is_faulty() && self.rng.u8(..8) == 0 {
            r#"{"timeout": 3}"#.to_owned()
        } else {
            String::new()
        };
        if self.rng.u8(..8) == 0 {
            let seconds = self.rng.u64(5..=20);
            let departure_timeout = Some(Duration::from_secs(seconds));
            let open = OpenRoom { name: room.clone(), departure_timeout, ..OpenRoom::default() };
            let _ = self.request(open);
        }
        let request = wire::CreateAgentDispatchRequest {
            agent_name: AGENT.to_owned(),
            room: room.clone(),
            metadata,
            ..Default::default()
        };
        let create = CreateDispatch { request, ..CreateDispatch::default() };
        let dispatch = self.request(create).ok()?;
        self.traffic.dispatches.push((room, dispatch.id.clone()));
        Some(dispatch.id)
    }

    fn person_joins(&mut self) {
        let room = self.room_name();
        if self.server.has_room(&room) {
            self.join_person(room);
        }
    }

    fn join_person(&mut self, room: String) {
        self.traffic.people += 1;
        // Some come back under the same name.
        let number = if self.rng.u8(..5) == 0 { self.traffic.people / 2 } else { self.traffic.people };
        let identity = format!("person-{number}");
        let grant = Grant { room, identity, ..Grant::default() };
        let member = self.server.new_id();
        if self.request(Join::new(member, grant)).is_ok() {
            let wait = self.between(Duration::from_secs(1), Duration::from_secs(30));
            self.queue.add(self.now + wait, Event::PersonLeaves { member });
        }
    }

    pub(super) fn person_leaves(&mut self, member: MemberId) {
        self.member_leaves(member, DisconnectReason::ClientInitiated);
    }

    fn send_data(&mut self) {
        let room = self.room_name();
        let message = Publish::new(super::rooms::TOPIC, "1");
        let _ = self.request(SendData { room, message });
    }

    fn delete_something(&mut self) {
        if self.traffic.dispatches.is_empty() || self.rng.bool() {
            return;
        }
        let at = self.rng.usize(..self.traffic.dispatches.len());
        let (room, id) = self.traffic.dispatches.swap_remove(at);
        let _ = self.request(DeleteDispatch { room, id });
    }

    /// One of the dispatches after the faults, which have to be served.
    pub(super) fn fresh_dispatch(&mut self) {
        // Attempts that cannot be aborted may hold slots.
        let free: usize = self.processes.iter().map(free_slots).sum();
        let room = format!("fresh-{}", self.traffic.dispatched);
        self.join_person(room.clone());
        if let Some(id) = self.dispatch(room)
            && free >= 3
        {
            self.traffic.fresh.push(id);
        }
    }

    /// Closes all rooms.
    pub(super) fn close_all_rooms(&mut self) {
        for room in self.server.rooms() {
            let _ = self.request(CloseRoom { room, reason: DisconnectReason::RoomDeleted });
        }
    }
}
