"""Why to believe it, and what it looks at: the paper's claim measured on known truth, and the network's inside drawn.

readings = list(claim.measure([load_identity], cases=8))      # signal to noise of both flows under nuisances
inside = network.look_inside(predictor.network, picture_CHW)  # Grad-CAM, feature maps, wavelet bands
"""
