"""Colors of the dashboard: those of Okabe and Ito, which colour-blind people distinguish.

Each theme begins with those that contrast with its background.
"""

LIGHT = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#5C5C5C")
DARK = ("#56B4E9", "#E69F00", "#2FBF94", "#F0E442", "#CC79A7", "#E8743B", "#B8B8B8")
LINK = {"light": "#0072B2", "dark": "#56B4E9"}
BACKGROUND = {"light": "#FFFFFF", "dark": "#12151A"}
