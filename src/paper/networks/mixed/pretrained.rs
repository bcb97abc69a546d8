//! ImageNet weights for image backbones.

use std::path::Path;

use tch::{
    Device, Tensor,
    nn::{ModuleT, VarStore},
    vision,
};

use super::ImageBackbone;
use crate::error::{self, Error, Result};
use crate::weights;

/// Number of classes of torchvision's pretrained networks.
const CLASSES: i64 = 1000;

/// Copies the weights in `file` into the backbones at the paths of `images`.
///
/// The file is first loaded into a complete torchvision network, which validates it; `vs` is
/// unchanged after an error.
pub(super) fn load(vs: &VarStore, images: &[(String, ImageBackbone)], file: &Path) -> Result<()> {
    if images.is_empty() {
        let (expected, hint) = ("an image modality to load them into", "omit the file");
        return Err(error::config("ImageNet weights", expected, "none", hint));
    }
    let mut variables = vs.variables();
    let mut copies: Vec<(Tensor, Tensor)> = Vec::new();
    for (path, backbone) in images {
        for (name, value) in read(*backbone, file)? {
            let name = format!("{path}.{name}");
            let variable = variables.remove(&name).ok_or_else(|| {
                let expected = format!("a variable {name:?}");
                let hint = "pass the VarStore in which the network was built";
                error::config("VarStore for ImageNet weights", expected, "none", hint)
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

/// Every tensor of the file except those of the last layer.
fn read(backbone: ImageBackbone, file: &Path) -> Result<Vec<(String, Tensor)>> {
    let mut vs = VarStore::new(Device::Cpu);
    let _network: Box<dyn ModuleT> = match backbone {
        ImageBackbone::Compact => {
            let (expected, hint) = ("MobileNetV2 or ResNet18", "choose one, or omit the file");
            return Err(error::config("image backbone", expected, "Compact", hint));
        }
        ImageBackbone::MobileNetV2 => Box::new(vision::mobilenet::v2(&vs.root(), CLASSES)),
        ImageBackbone::ResNet18 => Box::new(vision::resnet::resnet18(&vs.root(), CLASSES)),
    };
    weights::load(&mut vs, file)?;
    let in_head = |name: &str| name.split('.').next() == Some(backbone.head());
    Ok(vs.variables().into_iter().filter(|(name, _)| !in_head(name)).collect())
}
