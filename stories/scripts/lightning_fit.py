"""Lightning's Trainer with mixed precision, a validation loop and a checkpoint callback."""
import lightning as L
import torch
from torchvision.models import resnet50


class Classifier(L.LightningModule):
    def __init__(self):
        super().__init__()
        self.model = resnet50(num_classes=1000)

    def training_step(self, batch, number):
        pictures, labels = batch
        loss = torch.nn.functional.cross_entropy(self.model(pictures), labels)
        self.log("train_loss", loss, prog_bar=True)
        return loss

    def validation_step(self, batch, number):
        pictures, labels = batch
        self.log("val_accuracy", (self.model(pictures).argmax(1) == labels).float().mean())

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1, momentum=0.9)


class Noise(torch.utils.data.Dataset):
    def __len__(self):
        return 1024

    def __getitem__(self, number):
        return torch.zeros(3, 224, 224), number % 1000


rows = torch.utils.data.DataLoader(Noise(), batch_size=64)
trainer = L.Trainer(max_epochs=1, precision="bf16-mixed", gradient_clip_val=1.0, logger=False, log_every_n_steps=1)
trainer.fit(Classifier(), rows, rows)
