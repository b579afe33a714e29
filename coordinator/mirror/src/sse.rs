//! Server-sent events, as the HTML standard defines the format (html.spec.whatwg.org, "Server-sent events"), within bounds.
//!
//! Of the standard's fields `id` and `retry` mean nothing to Firebase, and are skipped.

use crate::trouble::Trouble;

/// The longest line, in bytes. Firebase sends an event's data in one.
pub const LINE_BYTES: usize = 8 << 20;

/// The largest event, in bytes of data.
pub const EVENT_BYTES: usize = 8 << 20;

/// The longest name of an event that means something.
const NAME_BYTES: usize = 32;

/// An event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) name: String,
    pub(crate) data: String,
}

/// Makes events of bytes, however they are cut. After an error it is of no use any more.
#[derive(Debug)]
pub(crate) struct Parser {
    line_bytes: usize,
    event_bytes: usize,
    line: Vec<u8>,
    /// The last byte was a carriage return: a line feed after it ends no second line.
    returned: bool,
    begun: bool,
    name: Vec<u8>,
    data: Vec<u8>,
}

impl Default for Parser {
    fn default() -> Self {
        Self::bounded(LINE_BYTES, EVENT_BYTES)
    }
}

impl Parser {
    fn bounded(line_bytes: usize, event_bytes: usize) -> Self {
        let (line, name, data) = (Vec::new(), Vec::new(), Vec::new());
        Self { line_bytes, event_bytes, line, returned: false, begun: false, name, data }
    }

    /// Takes more bytes; adds the events that they complete.
    pub(crate) fn feed(&mut self, bytes: &[u8], events: &mut Vec<Event>) -> Result<(), Trouble> {
        let mut rest = bytes;
        while let Some(at) = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
            let end_of_return = self.returned && at == 0 && rest[0] == b'\n';
            self.extend(&rest[..at])?;
            self.returned = rest[at] == b'\r';
            rest = &rest[at + 1..];
            if !end_of_return {
                self.end_line(events)?;
            }
        }
        self.returned &= rest.is_empty();
        self.extend(rest)
    }

    fn extend(&mut self, bytes: &[u8]) -> Result<(), Trouble> {
        if self.line.len() + bytes.len() > self.line_bytes {
            return Err(Trouble::TooLong { what: "a line of the stream", most: self.line_bytes });
        }
        self.line.extend_from_slice(bytes);
        Ok(())
    }

    fn end_line(&mut self, events: &mut Vec<Event>) -> Result<(), Trouble> {
        let whole = std::mem::take(&mut self.line);
        let mut line = whole.as_slice();
        if !std::mem::replace(&mut self.begun, true) {
            line = line.strip_prefix("\u{feff}".as_bytes()).unwrap_or(line);
        }
        if line.is_empty() {
            return self.end_event(events);
        }
        let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
        let value = line.get(colon + 1..).unwrap_or_default();
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match &line[..colon] {
            b"data" => self.add_data(value),
            // A name that is too long is none that we know.
            b"event" => {
                self.name = value.get(..value.len().min(NAME_BYTES)).unwrap_or_default().to_vec();
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn add_data(&mut self, value: &[u8]) -> Result<(), Trouble> {
        if self.data.len() + value.len() + 1 > self.event_bytes {
            return Err(Trouble::TooLong { what: "an event of the stream", most: self.event_bytes });
        }
        self.data.extend_from_slice(value);
        self.data.push(b'\n');
        Ok(())
    }

    fn end_event(&mut self, events: &mut Vec<Event>) -> Result<(), Trouble> {
        let (name, mut data) = (std::mem::take(&mut self.name), std::mem::take(&mut self.data));
        // An event without data is none.
        if data.pop().is_some() {
            let text = |bytes| String::from_utf8(bytes).map_err(|_| Trouble::Nonsense("no UTF-8".to_owned()));
            events.push(Event { name: text(name)?, data: text(data)? });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_event_is_a_name_and_data() {
        let stream =
            b"event: put\ndata: {\"path\":\"/\"}\n\n: comment\nid: 4\nretry: 5\nevent:patch\ndata\n\n";
        assert_eq!(parsed([&stream[..]]).unwrap(), [event("put", "{\"path\":\"/\"}"), event("patch", "")]);
    }

    #[test]
    fn lines_end_in_three_ways_and_data_may_have_several() {
        let stream = b"\xef\xbb\xbfevent: a\r\ndata: 1\r\ndata: 2\r\n\r\nevent: b\rdata: 3\r\rdata: 4\n\n";
        let expected = [event("a", "1\n2"), event("b", "3"), event("", "4")];
        assert_eq!(parsed([&stream[..]]).unwrap(), expected);
    }

    #[test]
    fn a_line_feed_in_a_piece_of_its_own_ends_its_line() {
        let pieces = ["data: 1\r", "data: 2", "\n\n"].map(str::as_bytes);
        assert_eq!(parsed(pieces).unwrap(), [event("", "1\n2")]);
    }

    #[test]
    fn an_event_without_data_and_one_that_is_not_ended_are_none() {
        assert_eq!(parsed([&b"event: put\n\nevent: put\ndata: 1\n"[..]]).unwrap(), []);
    }

    #[test]
    fn a_line_and_an_event_that_are_too_long_are_refused() {
        let line = [b"data: ".as_slice(), &[b'x'; 94]].concat();
        let mut events = Vec::new();
        assert_eq!(Parser::bounded(100, 1000).feed(&line, &mut events), Ok(()));
        assert!(matches!(
            Parser::bounded(99, 1000).feed(&line, &mut events),
            Err(Trouble::TooLong { what: "a line of the stream", most: 99 })
        ));
        let event = [line.as_slice(), b"\n"].concat().repeat(3);
        assert_eq!(Parser::bounded(100, 3 * 95).feed(&event, &mut events), Ok(()));
        assert!(matches!(
            Parser::bounded(100, 3 * 95 - 1).feed(&event, &mut events),
            Err(Trouble::TooLong { what: "an event of the stream", most: 284 })
        ));
    }

    #[test]
    fn the_real_limits_are_reached_too() {
        let mut parser = Parser::default();
        let chunk = vec![b'x'; 1 << 20];
        let fed = (0..=LINE_BYTES >> 20).map(|_| parser.feed(&chunk, &mut Vec::new()));
        assert_eq!(fed.filter(Result::is_err).count(), 1);
    }

    proptest! {
        #[test]
        fn it_does_not_matter_how_the_bytes_are_cut(
            bytes in prop::collection::vec(prop::sample::select(b"event:data \r\n\xff1".to_vec()), 0..200),
            cuts in prop::collection::vec(0..200_usize, 0..8),
        ) {
            let mut cuts: Vec<usize> = cuts.into_iter().map(|at| at.min(bytes.len())).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let pieces = cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]);
            prop_assert_eq!(parsed(pieces), parsed([&bytes[..]]));
        }

        #[test]
        fn any_bytes_are_events_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let _ = parsed([&bytes[..]]);
        }
    }

    fn parsed<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<Event>, Trouble> {
        let (mut parser, mut events) = (Parser::default(), Vec::new());
        pieces.into_iter().try_for_each(|piece| parser.feed(piece, &mut events)).map(|()| events)
    }

    fn event(name: &str, data: &str) -> Event {
        Event { name: name.into(), data: data.into() }
    }
}
