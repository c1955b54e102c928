"""SegPET's library: PET volumes, the network, interaction, storage. Knows neither MONAI Label nor HTTP."""
