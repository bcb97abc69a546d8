//! The Houses data set.

use super::{ImageTable, Pictures};

/// Photographs of a house, by room.
const ROOMS: [&str; 4] = ["bathroom", "bedroom", "frontal", "kitchen"];

/// How a house's photographs are modalities.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HouseModalities {
    /// `photos`, the four tiled 2×2, and `table`.
    #[default]
    Two,
    /// `bathroom`, `bedroom`, `frontal`, `kitchen` and `table`.
    Five,
}

impl ImageTable {
    /// Houses (Ahmed & Moustafa, "House Price Estimation from Visual and Textual Features", 2016,
    /// arXiv 1609.08399), as a table with a row a house: `{room}_image`, `bedrooms`, `bathrooms`,
    /// `area_sqft`, `zipcode`, and the target `price_usd`; photographs in `images/`.
    ///
    /// Every room is 32×32 pixels: the tiled picture is 64×64.
    pub fn houses(modalities: HouseModalities) -> Self {
        let column = |room: &str| format!("{room}_image");
        let (images, side) = match modalities {
            HouseModalities::Two => {
                let columns = ROOMS.iter().map(|room| column(room)).collect();
                (vec![Pictures { modality: "photos".into(), columns }], 64)
            }
            HouseModalities::Five => {
                (ROOMS.iter().map(|room| Pictures::one(*room, &column(room))).collect(), 32)
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
