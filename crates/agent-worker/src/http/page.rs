//! The page for people: three files that load nothing else.

/// A file of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asset {
    Html,
    Style,
    Script,
}

/// What the page may load and do: its own two files, and requests to this server. Nothing can make markup or
/// code of a text (`require-trusted-types-for`).
pub(super) const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
     img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
     require-trusted-types-for 'script'; trusted-types 'none'";

impl Asset {
    pub(super) const fn content(self) -> &'static str {
        match self {
            Self::Html => include_str!("page/status.html"),
            Self::Style => include_str!("page/status.css"),
            Self::Script => include_str!("page/status.js"),
        }
    }

    pub(super) const fn content_type(self) -> &'static str {
        match self {
            Self::Html => "text/html; charset=utf-8",
            Self::Style => "text/css; charset=utf-8",
            Self::Script => "text/javascript; charset=utf-8",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// It works without a network, and shows the texts of others as text.
    #[test]
    fn the_page_is_complete_and_writes_no_markup() {
        let all = [Asset::Html, Asset::Style, Asset::Script].map(Asset::content);
        for text in all {
            for outside in
                ["://", "url(", "@import", "src=\"//", "innerHTML", "outerHTML", "insertAdjacent", "style=\""]
            {
                assert!(!text.contains(outside), "{outside}");
            }
        }
        for part in ["status.css", "status.js"] {
            assert!(Asset::Html.content().contains(part), "{part}");
        }
    }
}
