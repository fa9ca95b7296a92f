//! Human-readable form of a value: scalars and flat lists are shown, nested ones abbreviated.

use super::scan::{Cursor, Token};
use crate::text::{MAX_VALUE, shorten};

/// The next value as at most 100 characters of JSON. Objects and nested lists are abbreviated to `{…}` and
/// `[…]`.
pub(super) fn show(mut cursor: Cursor<'_>) -> Option<String> {
    match cursor.token()? {
        Token::Object => {
            cursor.enter();
            Some(if cursor.next_key(true).is_none() { "{}" } else { "{…}" }.to_owned())
        }
        Token::Array => Some(list(cursor)),
        Token::String => {
            let text = cursor.string().raw;
            Some(shorten(&format!("\"{}\"", head(text)), MAX_VALUE))
        }
        _ => Some(shorten(cursor.literal(), MAX_VALUE)),
    }
}

fn list(mut cursor: Cursor<'_>) -> String {
    let mut shown = String::from("[");
    cursor.enter();
    let mut first = true;
    while cursor.next_item(first) && shown.len() <= 4 * MAX_VALUE {
        if !first {
            shown.push(',');
        }
        first = false;
        match cursor.token() {
            Some(Token::Array | Token::Object) | None => return "[…]".to_owned(),
            Some(Token::String) => {
                shown.push('"');
                shown.push_str(head(cursor.string().raw));
                shown.push('"');
            }
            Some(_) => shown.push_str(head(cursor.literal())),
        }
    }
    shown.push(']');
    shorten(&shown, MAX_VALUE)
}

/// Cuts a long text, keeping more than is shown.
fn head(text: &str) -> &str {
    text.get(..text.floor_char_boundary(4 * MAX_VALUE)).unwrap_or_default()
}
