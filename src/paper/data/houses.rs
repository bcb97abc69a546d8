//! The Houses data set.

use super::{ImageColumns, ImageTable};

const ROOMS: [&str; 4] = ["bathroom", "bedroom", "frontal", "kitchen"];

/// How the photographs of a house become modalities.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HouseModalities {
    /// `photos`, the four tiled 2×2, and `table`.
    #[default]
    Two,
    /// `bathroom`, `bedroom`, `frontal`, `kitchen` and `table`.
    Five,
}

impl ImageTable {
    /// The layout of Houses (Ahmed & Moustafa, "House Price Estimation from Visual and Textual
    /// Features", 2016, arXiv 1609.08399): a table with one row per house and the columns
    /// `{room}_image`, `bedrooms`, `bathrooms`, `area_sqft`, `zipcode`, and the target `price_usd`;
    /// photographs in `images/`.
    ///
    /// Every room is resized to 32×32 pixels; the tiled image has 64×64.
    pub fn houses(modalities: HouseModalities) -> Self {
        let column = |room: &str| format!("{room}_image");
        let (images, side) = match modalities {
            HouseModalities::Two => {
                let columns = ROOMS.map(column).into();
                (vec![ImageColumns { modality: "photos".into(), columns }], 64)
            }
            HouseModalities::Five => {
                (ROOMS.map(|room| ImageColumns::new(room, &column(room))).into(), 32)
            }
        };
        Self {
            image_folder: "images".into(),
            images,
            table: "table".into(),
            columns: ["bedrooms", "bathrooms", "area_sqft", "zipcode"].map(str::to_owned).into(),
            target: "price_usd".to_owned(),
            side,
        }
    }
}
