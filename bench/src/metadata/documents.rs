//! Documents of 512 KiB that match none of the [`shapes`](super::shapes): the most expensive ones, in any
//! order and size.

use agent_worker::metadata::MAX_METADATA_LEN as LEN;

/// The document of this number, which is the same each time.
pub(crate) fn document(number: u64) -> String {
    let mut dice = Dice(number.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let text = match number % 8 {
        0 => list(&mut dice),
        1 => named(&mut dice),
        2 => text(&mut dice),
        3 => key(&mut dice),
        4 => fields(&mut dice),
        5 => deep(&mut dice),
        6 => nested_lists(&mut dice),
        _ => objects(&mut dice),
    };
    debug_assert!(text.len() <= LEN && serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok());
    text
}

/// xorshift64: enough to make documents differ.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % (limit.max(1) as u64)).unwrap_or_default()
    }

    fn of<'a>(&mut self, all: &[&'a str]) -> &'a str {
        all.get(self.below(all.len())).copied().unwrap_or_default()
    }
}

/// The beginnings of documents: valid for each of the types, with an error at the end.
const HEADS: [&str; 5] = [
    r#"{"x":"#,
    r#"{"kind":"A","x":"#,
    r#"{"kind":"A","x":1,"list":"#,
    r#"{"kind":"B","y":"#,
    r#"{"y":1,"x":"#,
];
const VALUES: [&str; 14] = [
    "1",
    "12345",
    "-1",
    "0.5",
    "null",
    "true",
    "{}",
    "[]",
    r#""""#,
    r#""a""#,
    r#""\n""#,
    r#"{"x":-1}"#,
    r#"{"":0}"#,
    "[[]]",
];

fn repeated(out: &mut String, part: &str, until: usize) {
    while out.len() + part.len() + 1 < until {
        out.push_str(part);
        out.push(',');
    }
    out.push_str("null");
}

/// A list of the same value, which is wrong once or everywhere.
fn list(dice: &mut Dice) -> String {
    let mut out = format!("{}[", dice.of(&HEADS));
    repeated(&mut out, dice.of(&VALUES), LEN - 20);
    out + "]}"
}

/// Approximately half of it is the name of a field.
fn named(dice: &mut Dice) -> String {
    let name = dice.of(&["k", "é", "😀", r"\u00e9", r"\n"]);
    let share = LEN / 8 * (1 + dice.below(7));
    let mut out = format!(r#"{}{{"{}":["#, dice.of(&HEADS), name.repeat(share / name.len()));
    repeated(&mut out, dice.of(&VALUES), LEN - 20);
    out + "]}}"
}

/// One string.
fn text(dice: &mut Dice) -> String {
    let part = dice.of(&["k", "😀", r"\ud83d\ude00", r"\n", "\u{7f}", "\u{202e}"]);
    let head = dice.of(&[r#"{"x":"#, r#"{"kind":"A","x":"#, r#"{"kind":"#, "["]);
    let end = if head == "[" { "]" } else { "}" };
    format!(r#"{head}"{}"{end}"#, part.repeat((LEN - 60) / part.len()))
}

/// One name.
fn key(dice: &mut Dice) -> String {
    let part = dice.of(&["k", "😀", r"\ud83d\ude00", "9"]);
    let name = part.repeat((LEN - 60) / part.len());
    format!(r#"{}{{"{name}":{}}}}}"#, dice.of(&HEADS), dice.of(&VALUES))
}

/// As many fields as fit, all with one name or each with its own.
fn fields(dice: &mut Dice) -> String {
    let name = dice.of(&["", "x", "kind", "timeout", r"\u0078"]);
    let value = dice.of(&VALUES);
    let mut out = String::from("{");
    let mut number = dice.below(1000);
    while out.len() < LEN - 60 {
        number += 1;
        if name.is_empty() {
            out.push_str(&format!(r#""{number}":{value},"#));
        } else {
            out.push_str(&format!(r#""{name}":{value},"#));
        }
    }
    out + r#""kind":"A"}"#
}

/// Nested levels, with most of the content in the innermost.
fn deep(dice: &mut Dice) -> String {
    let open = dice.of(&["[", r#"{"x":"#, r#"{"kind":"A","x":"#]);
    let close = if open == "[" { "]" } else { "}" };
    let levels = 60 + dice.below(60);
    let mut out = open.repeat(levels) + "[";
    repeated(&mut out, dice.of(&VALUES), LEN - 20 - levels);
    out + "]" + &close.repeat(levels)
}

/// Lists of lists of a few values.
fn nested_lists(dice: &mut Dice) -> String {
    let inner = vec![dice.of(&VALUES); 1 + dice.below(8)].join(",");
    let mut out = format!("{}[", dice.of(&HEADS));
    repeated(&mut out, &format!("[{inner}]"), LEN - 20);
    out + "]}"
}

/// Typical objects, one of them wrong.
fn objects(dice: &mut Dice) -> String {
    let one = dice.of(&[
        r#"{"x":1}"#,
        r#"{"x":1,"name":"TR_abcdef"}"#,
        r#"{"kind":"A","x":1,"name":"microphone of somebody"}"#,
        r#"{"y":1,"name":"a"}"#,
    ]);
    let mut out = format!("{}[", dice.of(&[r#"{"kind":"A","x":1,"list":"#, r#"{"x":1,"list":"#]));
    repeated(&mut out, one, LEN - 40);
    out + r#",{"x":"wrong"}]}"#
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_json_of_the_full_length() {
        for number in 0..100 {
            let text = document(number);
            assert!((LEN - 2000..=LEN).contains(&text.len()), "{number}: {}", text.len());
            assert!(serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok(), "{number}");
        }
    }
}
