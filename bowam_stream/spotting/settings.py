"""What a user may turn in the spotter. Times in ms, motion in pixels of the 240 px crop or in noise units."""

import msgspec


class SpottingSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Defaults are stated here and nowhere else."""

    threshold: float = 5.0  # peak motion, in units of this face's baseline noise, from which a movement counts
    min_motion_px: float = 0.3  # and in pixels: nothing smaller is claimed, however still the face
    release: float = 0.33  # share of the peak below which a movement is on its way out (He et al. 2021: a third)
    edge: float = 0.10  # share of the peak that bounds a movement: its onset and offset

    micro_min_ms: float = 65.0  # shorter is noise
    micro_max_ms: float = 500.0  # longer is a macro-expression
    macro_max_ms: float = 10_000.0  # a macro-expression that lasts longer is closed here
    micro_max_px: float = 4.0  # brief and stronger is speech or a gesture, not a micro-expression
    blink_max_ms: float = 1_000.0  # eyes closed for longer count as a blink that ended here
    rest_ms: float = 250.0  # an expression comes out of rest: how long before its onset the face is looked at
    rest_share: float = 0.25  # of the movement: what may have moved in that time, and again after its offset,
    rest_noise: float = 7.0  # beyond so many times the noise, of the region or of the calmer part of the face,
    rest_px: float = 0.4  # or beyond this where the face is calmer still
    confirm_ms: float = 60.0  # how long its end is watched before it is final,
    mouth_confirm_ms: float = 90.0  # and where the mouth moved most: the next syllable may come

    blink_closing: float = 0.25  # eyes that lose this share of their usual opening blink
    blink_leak_px: float = 0.5  # how far a blink may seem to move the rest of the face
    head_leak: float = 0.15  # share of the head's way out and back that may be left in the regions
    speech_leak: float = 0.15  # share of the widest motion on the face, talking mostly, that may be seen elsewhere
    talk_px: float = 0.9  # a mouth that is farther than this from its recent past
    talk_ms: float = 1_000.0  # for half of this time is talking: then only brows and glabella are watched
    flicker_leak_px: float = 2.0  # motion that a change of brightness by its whole may fake

    reference_ms: tuple[float, float] = (420.0, 120.0)  # the past against which motion is seen: from, to before now
    baseline_ms: float = 8_000.0  # span of the running noise estimate
    warm_up_ms: float = 1_500.0  # less past than this and events say "warming_up"
    noise_floor_px: float = 0.04  # what a region's noise is never taken to be below
    noise_prior_px: float = 0.08  # what it is taken to be during warm-up

    min_spacing_ms: float = 7.5  # frames that come closer are skipped: more samples bring nothing
    low_rate_hz: float = 59.0  # below, events say "low_frame_rate" (59.94 Hz is 60)
    min_rate_hz: float = 23.9  # below, no micro-expression is claimed (23.976 Hz is 24)
    lost_ms: float = 150.0  # a face unseen, or a stream silent, for longer ends what was going on
    crops_ms: float = 1_200.0  # how long crops are kept for the three pictures of a micro-expression
