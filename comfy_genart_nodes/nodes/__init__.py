"""What an artist sees: ComfyUI's V3 nodes."""

from comfy_api.latest import ComfyExtension, io

from ..host import folders
from . import (
    dataset,
    evaluation,
    even_speed,
    following,
    gan,
    gan_frames,
    gan_latents,
    gan_styles,
    latent_blends,
    latent_files,
    latent_path,
    latent_statistics,
    latent_storage,
    noise,
    picture_batches,
    prompt_travel,
    runs,
    sampling,
    sound,
    training,
    training_vae,
    vae,
    vae_latents,
    vae_loading,
    vae_preview,
    vae_use,
    vae_video,
)

NODES: list[type[io.ComfyNode]] = [
    gan.LoadGAN,
    gan.SaveGAN,
    gan_frames.TransformGAN,
    gan_frames.SetGANCanvas,
    sampling.SampleGAN,
    sampling.SampleGANToVideo,
    gan_latents.MakeGANLatent,
    gan_latents.WalkGANLatents,
    gan_latents.PickGANLatents,
    gan_latents.JoinGANLatents,
    gan_latents.RepeatGANLatents,
    even_speed.EvenGANPath,
    following.PaceGANLatents,
    following.BlendGANLatents,
    gan_styles.SetGANClass,
    gan_styles.MixGANLatents,
    gan_styles.FindGANCentres,
    latent_files.SaveGANLatents,
    latent_files.LoadGANLatents,
    latent_files.SaveImagesWithLatents,
    latent_files.LoadGANLatentFromImage,
    dataset.OpenPictureFolder,
    dataset.PicturesFromImages,
    dataset.ReportDataset,
    training.TrainGAN,
    training_vae.TrainVAE,
    runs.LoadRun,
    runs.TrainingStatus,
    runs.PlotRun,
    runs.StopRun,
    evaluation.MeasureRun,
    vae.DecodeSeamless,
    vae.EncodeSeamless,
    vae_loading.LoadDiffusersVAE,
    vae_use.RoundTripVAE,
    vae_use.DenoiseByVAE,
    vae_latents.MakeAttributeVector,
    vae_latents.ApplyAttribute,
    vae_latents.SampleVAEPrior,
    vae_latents.TraverseLatent,
    vae_video.DecodeLatentsToVideo,
    following.PaceLatents,
    sound.MakeAudioCurve,
    sound.MakeTestBeat,
    vae_preview.FitLatentPreview,
    vae_preview.PreviewLatent,
    picture_batches.ImagesFromPictures,
    vae_loading.LoadTrainedVAE,
    vae_loading.SaveVAE,
    latent_blends.InterpolateLatents,
    latent_blends.BlendLatents,
    latent_blends.GridLatents,
    latent_path.WalkLatents,
    even_speed.EvenLatentPath,
    latent_statistics.ExamineLatent,
    latent_statistics.MatchLatentStatistics,
    latent_storage.SaveLatents,
    latent_storage.LoadLatents,
    noise.TravelNoise,
    noise.LoopNoise,
    noise.SetModelNoise,
    prompt_travel.TravelPrompt,
]


class GenartExtension(ComfyExtension):
    """The pack, as ComfyUI takes it in."""

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        """All nodes."""
        return NODES


async def comfy_entrypoint() -> GenartExtension:
    """Called once by ComfyUI while it loads the pack."""
    folders.register()
    return GenartExtension()
