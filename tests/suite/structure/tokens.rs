//! The tokens of Rust source.

pub struct Token {
    pub text: String,
    pub line: usize,
}

/// Names, `::` and single characters, without comments and literals.
pub fn tokens(source: &str) -> Vec<Token> {
    let source: Vec<char> = source.chars().collect();
    let (mut found, mut i, mut line) = (Vec::new(), 0, 1);
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    while i < source.len() {
        let rest = &source[i..];
        let is = |text: &str| text.chars().eq(rest.iter().copied().take(text.len()));
        let length = match rest[0] {
            '/' if is("//") => rest.iter().position(|c| *c == '\n').unwrap_or(rest.len()),
            '/' if is("/*") => block_comment(rest),
            '"' => string(rest),
            '\'' => character(rest),
            'r' | 'b' if raw_string(rest).is_some() => raw_string(rest).unwrap(),
            c if is_name(c) => {
                let length = rest.iter().position(|c| !is_name(*c)).unwrap_or(rest.len());
                found.push(Token { text: rest[..length].iter().collect(), line });
                length
            }
            c if c.is_whitespace() => 1,
            c => {
                let text = if is("::") { "::".to_owned() } else { c.to_string() };
                let length = text.len();
                found.push(Token { text, line });
                length
            }
        };
        line += rest[..length].iter().filter(|c| **c == '\n').count();
        i += length;
    }
    found
}

fn block_comment(text: &[char]) -> usize {
    let (mut depth, mut i) = (0, 0);
    while i < text.len() {
        match text[i..] {
            ['/', '*', ..] => (depth, i) = (depth + 1, i + 2),
            ['*', '/', ..] => (depth, i) = (depth - 1, i + 2),
            _ => i += 1,
        }
        if depth == 0 {
            break;
        }
    }
    i
}

fn string(text: &[char]) -> usize {
    let mut i = 1;
    while i < text.len() && text[i] != '"' {
        i += if text[i] == '\\' { 2 } else { 1 };
    }
    i + 1
}

/// The length of a raw string literal such as `r#"…"#` or `br"…"`, if the text begins with one.
fn raw_string(text: &[char]) -> Option<usize> {
    let prefix = text.iter().take_while(|c| matches!(c, 'b' | 'r')).count();
    let hashes = text[prefix..].iter().take_while(|c| **c == '#').count();
    let start = prefix + hashes;
    if !text[..prefix].contains(&'r') || prefix > 2 || text.get(start) != Some(&'"') {
        return None;
    }
    let closes = |at: usize| {
        text[at] == '"' && text[at + 1..].iter().take_while(|c| **c == '#').count() >= hashes
    };
    (start + 1..text.len()).find(|&at| closes(at)).map(|at| at + 1 + hashes)
}

/// The length of a character literal, or 1 for the mark of a lifetime.
fn character(text: &[char]) -> usize {
    match text {
        [_, '\\', _, rest @ ..] => 4 + rest.iter().position(|c| *c == '\'').unwrap_or(0),
        [_, _, '\'', ..] => 3,
        _ => 1,
    }
}
