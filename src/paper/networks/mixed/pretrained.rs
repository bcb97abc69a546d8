//! ImageNet weights into a backbone.

use std::path::Path;

use tch::{Device, Tensor, nn, vision};

use super::ImageBackbone;
use crate::{
    error::{self, Error, Result},
    weights,
};

/// The classes of the files that torchvision gives out.
const CLASSES: i64 = 1000;

/// Copies the weights in `file` into the backbone at each of `images`' paths.
///
/// The file is read into a whole torchvision network first, which checks it; nothing in `vs` changes
/// unless all fits.
pub(super) fn load(
    vs: &nn::VarStore,
    images: &[(String, ImageBackbone)],
    file: &Path,
) -> Result<()> {
    if images.is_empty() {
        return Err(error::config(
            "ImageNet weights",
            "an image modality to load them into",
            "none",
            "leave the file out",
        ));
    }
    let mut variables = vs.variables();
    let mut copies: Vec<(Tensor, Tensor)> = Vec::new();
    for (path, backbone) in images {
        for (name, value) in read(*backbone, file)? {
            let own = format!("{path}.{name}");
            let variable = variables.remove(&own).ok_or_else(|| {
                error::config(
                    "VarStore for ImageNet weights",
                    format!("a variable {own:?}"),
                    "none",
                    "pass the store that the network was made in",
                )
            })?;
            copies.push((variable, value));
        }
    }
    let _no_grad = tch::no_grad_guard();
    for (mut variable, value) in copies {
        variable.f_copy_(&value).map_err(|e| Error::torch("copy ImageNet weights", e))?;
    }
    Ok(())
}

/// Every tensor of the file but those of the network's last layer.
fn read(backbone: ImageBackbone, file: &Path) -> Result<Vec<(String, Tensor)>> {
    let mut whole = nn::VarStore::new(Device::Cpu);
    match backbone {
        ImageBackbone::Compact => {
            return Err(error::config(
                "backbone for ImageNet weights",
                "MobileNetV2 or ResNet18",
                "Compact",
                "choose another backbone, or leave the file out",
            ));
        }
        ImageBackbone::MobileNetV2 => {
            let _network = vision::mobilenet::v2(&whole.root(), CLASSES);
        }
        ImageBackbone::ResNet18 => {
            let _network = vision::resnet::resnet18(&whole.root(), CLASSES);
        }
    }
    weights::load(&mut whole, file)?;
    let of_head = |name: &str| name.split('.').next() == Some(backbone.head());
    Ok(whole.variables().into_iter().filter(|(name, _)| !of_head(name)).collect())
}
