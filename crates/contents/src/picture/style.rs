//! The colours of pictures.

use std::fmt::Write as _;

/// Colours for light backgrounds, and for dark ones.
pub(super) fn style() -> String {
    let mut style = String::from(
        ".back{fill:#fff}.head{fill:#222;font-size:15px;font-weight:600}\
         text{fill:#111;font-size:11px;pointer-events:none}.size{opacity:.7}\
         rect{stroke:#fff;stroke-width:.6}.kept{fill:#d5d9de}.added{fill:#9fd8a4}\
         .changed{fill:#f5d27a}.gone{fill:#efa8a0}g:hover rect{stroke:#000;stroke-width:1.5}",
    );
    let mut dark = String::from(
        ".back{fill:#15181c}.head,text{fill:#eee}rect{stroke:#15181c}.kept{fill:#3a4048}\
         .added{fill:#2c6b38}.changed{fill:#7d6016}.gone{fill:#7c3a34}g:hover rect{stroke:#fff}",
    );
    for colour in 0..12 {
        // Steps of five twelfths of the circle make consecutive colours differ.
        let hue = colour * 150 % 360;
        let _ = write!(style, ".l{colour}{{fill:hsl({hue} 55% 80%)}}");
        let _ = write!(dark, ".l{colour}{{fill:hsl({hue} 35% 32%)}}");
    }
    format!("{style}@media(prefers-color-scheme:dark){{{dark}}}")
}
