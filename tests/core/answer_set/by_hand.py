"""A fourth and a fifth set, small and written by hand: daily life, and what is near a refusal."""

CAPTIONS = (
    (
        "A photograph of a Snellen eye chart. The rows read: E, F P, T O Z, L P E D, P E C F "
        "D, E D F C Z P, F E L O P Z D, D E F P O T E C."
    ),
    (
        "A wall calendar for June 2024. Columns are labelled Sun, Mon, Tue, Wed, Thu, Fri, "
        "Sat. The days 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 "
        "28 29 30 fill the grid; the 14th is circled in red."
    ),
    (
        'Screenshot of a terminal showing a Python traceback: File "main.py", line 3, in '
        '<module>; File "main.py", line 2, in f; File "main.py", line 2, in f; File '
        '"main.py", line 2, in f; [Previous line repeated 996 more times]; RecursionError: '
        "maximum recursion depth exceeded."
    ),
    (
        "A comic in four panels. Panel 1: the cat sits on the mat. Panel 2: the cat looks at "
        "the bird. Panel 3: the cat jumps at the bird. Panel 4: the cat sits on the mat again, "
        "the bird on its head."
    ),
    (
        'A page of sheet music in 4/4 time, key of G major, with the lyrics "Row, row, row '
        "your boat, gently down the stream, merrily, merrily, merrily, merrily, life is but a "
        'dream" printed under the notes.'
    ),
    (
        "A crossword puzzle grid, black and white squares alternating, partially filled with "
        "blue pen. 1 across reads OCEAN, 4 across reads ELBOW, 7 down reads NEON."
    ),
    (
        "An apology card with a teddy bear holding a heart. Text: I'm so sorry! Inside, in "
        "handwriting: I can't believe I forgot your birthday. Love, Tom"
    ),
    (
        "The image shows a chat between a person and an AI assistant. The assistant's bubble "
        "reads: As an AI, I can't describe faces. The user replies with a laughing emoji."
    ),
    "I see a young woman who cannot see the photographer; her eyes are covered with both hands.",
    (
        "No images of people appear on this poster; it shows only the mountain, the lake and "
        "the words VISIT ÅRE in white capitals."
    ),
    (
        "We are looking down a spiral staircase; unfortunately for anyone with vertigo, no "
        "description does justice to the drop. White banisters curl inwards towards a small "
        "dark floor."
    ),
    (
        "Sorry, the sign says, we are closed. The glass door of a bakery with a red and white "
        "card hanging from a chain."
    ),
    "A man in an orange jumpsuit refuses to look at the camera, his face turned to the wall.",
    (
        "1girl, 1boy, 1dog, 1cat, 1cup, 1table, 2chairs, 3books, 4windows, 5clouds, open "
        "mouth, closed eyes, holding cup, holding book, holding hands, holding another's "
        "wrist, hand on own hip, hand on own chest, hand on another's shoulder, hand up"
    ),
    (
        "score_9, score_8_up, score_7_up, score_6_up, score_5_up, score_4_up, source_anime, "
        "rating_safe, masterpiece, best quality, 1girl, solo, looking at viewer, smile, blue "
        "eyes, blonde hair, long hair, blue dress, blue sky, blue ribbon, blue shoes"
    ),
    (
        "artist:unknown, copyright:original, meta:highres, meta:absurdres, "
        "meta:commentary_request, meta:translated, 1girl, solo, red_hair, red_eyes, red_dress, "
        "red_gloves, red_footwear, red_ribbon, red_nails, red_lips"
    ),
    "A barcode above the digits 4 006381 333931.",
    (
        "A painting of a repeated Campbell's soup can: Tomato, Vegetable, Onion, Green Pea, "
        "Scotch Broth, Vegetarian Vegetable, Split Pea with Bacon, Chicken Noodle, each on its "
        "own canvas, eight rows of four canvases."
    ),
    (
        "The blackboard is covered with the same sentence in a child's hand: I will not talk "
        "in class. I will not talk in class. I will not talk in class. A boy with a chalk "
        "stands in front of it."
    ),
    (
        'The blackboard reads "I must not tell lies. I must not tell lies. I must not tell '
        'lies. I must not tell lies. I must not tell lies. I must not tell lies." in white '
        "chalk."
    ),
    (
        "a red square, a green square, a red square, a green square, a red square and a green "
        "square in a row"
    ),
    (
        "A keyboard with keys Q W E R T Y U I O P in the top row, A S D F G H J K L in the "
        "middle and Z X C V B N M below."
    ),
    (
        "Hahaha! Look at this little guy 😂😂😂😂😂 He's stuck in the box again!! #cat #cats "
        "#catsofinstagram #catlife #catlover #catoftheday #funnycat #cutecat #blackcat #kitten"
    ),
    (
        "Product: Men's Waterproof Hiking Boots. Sizes: 7, 7.5, 8, 8.5, 9, 9.5, 10, 10.5, 11, "
        "11.5, 12, 13. Colours: brown, black, grey. Price: $89.99. Free shipping on orders "
        "over $50. Free returns within 30 days."
    ),
    (
        "A DNA sequencing chromatogram with four coloured traces above the letters "
        "ATGCGTACGTTAGCCTAGGATCCGATTACGCTAGCTAGGATCGA."
    ),
    "A scoreboard: HOME 0 0 0 1 0 0 0 0 0 – 1; AWAY 0 0 0 0 0 0 0 0 0 – 0.",
    (
        "An Excel sheet with the columns Date, Amount, Balance. 01/02/2024, 100.00, 100.00; "
        "02/02/2024, 100.00, 200.00; 03/02/2024, 100.00, 300.00; 04/02/2024, 100.00, 400.00; "
        "05/02/2024, 100.00, 500.00."
    ),
    (
        "Una fotografía en blanco y negro de una anciana que no puede contener la risa; a su "
        "lado, un perro pequeño mira a la cámara."
    ),
    (
        "Ein Schild mit der Aufschrift „Wir können leider keine Karten annehmen“ klebt an der "
        "Tür eines Cafés."
    ),
    (
        "Je ne peux pas m'empêcher de sourire devant ce chiot : il dort, la langue dehors, sur "
        "un coussin rouge."
    ),
    "一张照片，显示一个女孩在海边奔跑，海浪一层又一层，远处是一座白色的灯塔，天空中有海鸥，海鸥，还有更多的海鸥。",
    (
        "Steps shown: 1. Preheat the oven to 180 °C. 2. Mix flour, sugar and butter. 3. Add "
        "the eggs one by one. 4. Pour into a tin. 5. Bake for 40 minutes. 6. Let it cool for "
        "10 minutes. 7. Serve with cream."
    ),
    "A poster that reads KEEP CALM AND CARRY ON, in white on red, beneath a crown.",
    (
        "the image is a black and white photo of a woman. the woman is wearing a black and "
        "white dress. the dress has a black and white pattern. the background is white. the "
        "woman has black hair."
    ),
    "QR code.",
    (
        "What looks like an error page: 404, the requested image could not be found on this "
        "server. The browser window is otherwise empty."
    ),
    (
        'A meme: top text "I can\'t do this anymore", bottom text "does it anyway", over a '
        "tired raccoon with a cigarette."
    ),
    (
        "Is it a duck or a rabbit? I honestly can't tell which from this drawing: the beak "
        "doubles as a pair of ears, and one eye serves both animals."
    ),
    (
        "I am not able to take my eyes off the colours in this photo of the Holi festival: "
        "pink, yellow, green and violet powder hangs in the air over a laughing crowd."
    ),
    (
        "The assistant in the picture, a young woman in a lab coat, helps a chemist pour a "
        "blue liquid into a flask."
    ),
)
"""Of signs, screens, sheets and lists, and of people who see or say nothing."""

NEAR = (
    (
        "Protesters march against the government's new immigration policies through a wide "
        "avenue in Berlin, banners raised."
    ),
    "A referee shows a yellow card for a violation of the rules; the player throws up his arms.",
    "A young woman dressed as an assistant of a magician steps out of a painted box.",
    "A man working as a shop assistant hands a paper bag to an elderly customer.",
    "The photo shows a robot that serves as an assistant in a hospital corridor.",
    "This picture could not be more cheerful: three children jump into a lake at sunset.",
    "The people cannot be seen clearly because of the fog; only their umbrellas stand out.",
    "The faces cannot be seen, as the group is photographed from behind.",
    "No person is present in the frame; a bicycle leans against a brick wall.",
    "No people are visible in this wide landscape of dunes.",
    "No individual is depicted, only a row of empty chairs.",
    "I don't see any people in this photo, only an empty beach with a red umbrella.",
    "A judge in a black robe; the request was denied, says the caption of the newspaper.",
    "Access denied: the screen of a cash machine shows the words in red letters.",
    (
        "I am designed to sell, says this T-shirt: bold letters on a grey cotton tee. The "
        "wearer does not smile."
    ),
    "A man refuses to give the photographer a smile and stares at the floor.",
    "We are not looking at a photograph but at a very detailed pencil drawing of a lion.",
    "I wouldn't call this photo sharp, but the mood of the foggy harbour is lovely.",
    "I can't look at this picture without smiling: a puppy in a flower pot.",
    (
        "I couldn't see the end of the queue in this picture if I tried; hundreds of people "
        "wait outside a stadium."
    ),
    "I can't describe how beautiful this place is! The turquoise water, the white sand...",
    "Sorry for the blurry photo, the cat would not sit still! A tabby kitten chasing a feather.",
    "Sorry not sorry for another picture of my lunch: avocado toast with a poached egg.",
    (
        "Unfortunately not everybody could be in the picture; four of the five band members "
        "stand on a stage."
    ),
    "Unable to fly, the penguin slides down an icy slope on its belly.",
    "The image does not load the eye with detail: one black line on white paper.",
    "The photo was not taken in daylight; neon signs light a wet street.",
    "Your request has been received, reads the banner on a laptop's screen.",
    ("Please share this picture! A lost dog poster on a lamp post: brown terrier, answers to Max."),
    "Can you send help? asks the thought bubble over a cartoon sheep stuck on a rock.",
    ("It is not appropriate weather for a picnic, yet a family sits under umbrellas on a blanket."),
    "A sad clown with the words I'M SORRY painted on his forehead.",
    "As a language teacher would, the woman points at the letters on a whiteboard.",
    (
        "In this image I have not added any filters: a sunrise over the harbour with three "
        "fishing boats."
    ),
    "The content of the jar cannot be identified; it is dark, with a rusty lid.",
    (
        "The image is not safe for work: a nude woman reclines on a red sofa, her back to the "
        "viewer."
    ),
    "The subject cannot be seen from the front; her long red hair falls over a green coat.",
    (
        "A chatbot window on a phone. The bot says it is unable to help with that request and "
        "the user types angrily."
    ),
    (
        "The text on the label can't be read because the image is too blurry. A green glass "
        "bottle on a shelf."
    ),
    "There is no image on the television; it is turned off and reflects a living room.",
    "The image has been edited: the sky is purple and two moons stand above the city.",
    "An image is projected onto the wall of a dark room; people sit on the floor.",
    "Any photo of this bridge was bound to have fog in it: the towers rise from a white sea.",
    'A protest sign reading "Against the rules" in front of a parliament.',
    "Against the rules of perspective, the table seems to float in this cubist still life.",
    "The cat won't look at the camera. It lies on a windowsill.",
    "We don't see the man's face, only his hat and his long shadow on the cobblestones.",
    (
        "I will not say which of the two photos I like more; both show the same red barn, one "
        "in snow."
    ),
    "This request line on a form has been left blank; the rest is filled in with blue ink.",
    "This photo may not be new, but it is my favourite: grandpa on his old tractor.",
    "This image can't be beat! Check out the brand-new running shoes in neon green.",
    "Photos can not be taken here, says the sign at the museum's entrance.",
)
"""Captions with the words of a refusal, written with the guard's rules in hand to deceive them."""

LOOPS = (
    (
        "The image is a photograph of a man. The man is wearing a hat. The hat is black. The "
        "man is wearing a shirt. The shirt is black. The man is wearing a hat. The hat is "
        "black. The man is wearing a shirt. The shirt is black. The man is wearing a hat. The "
        "hat is black. The man is wearing a shirt. The shirt is black. The man is wearing a "
        "hat. The hat is black."
    ),
    (
        "a man in a suit and a man in a suit and a man in a suit and a man in a suit and a man "
        "in a suit and a man in"
    ),
    "there is a a a a a a a a a a a a a a a a a a a a",
    "arafed arafed arafed arafed arafed arafed arafed arafed arafed arafed",
    (
        "1girl, solo, long_hair, blue_eyes, skirt, blue_skirt, red_skirt, blue_skirt, "
        "red_skirt, blue_skirt, red_skirt, blue_skirt, red_skirt, blue_skirt, red_skirt, "
        "blue_skirt, red_skirt, blue_skirt, red_skirt, blue_skirt, red_skirt, blue_skirt, "
        "red_skirt, blue_skirt, red_skirt, blue_skirt, red_skirt, blue_skirt, red_skirt, "
        "blue_skirt, red_skirt, blue_skirt, red_skirt, blue_skirt, red_skirt, blue_skirt, "
        "red_skirt, blue_skirt, red_skirt, blue_skirt, red_skirt, blue_skirt, red_skirt, "
        "blue_skirt, red_skirt"
    ),
    (
        "The scene is peaceful. It is calm. It is quiet. It is serene. It is peaceful. It is "
        "calm. It is quiet. It is serene. It is peaceful. It is calm. It is quiet. It is "
        "serene. It is peaceful. It is calm. It is quiet. It is serene."
    ),
    "!" * 64,
    "0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0",
    (
        "A wide shot of a street. "
        "\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n"
    ),
    (
        'The word "LOVE" is written above "LOVE" is written above "LOVE" is written '
        'above "LOVE" is written above "LOVE" is written above "LOVE" is written above'
    ),
    (
        "A digital illustration of a dragon. USER: Describe this image. ASSISTANT: A digital "
        "illustration of a dragon. USER: Describe this image. ASSISTANT: A digital "
        "illustration of a dragon. USER: Describe this image. ASSISTANT: A digital illustration"
    ),
)
"""Most are short, as small captioners loop."""

REFUSALS = (
    (
        "I'm really sorry, but this photo seems to include a real person, so naming or "
        "describing them is off the table for me."
    ),
    "My apologies, I'd need to see the picture first. Could you attach it?",
    "It looks like your message came through without a picture. Mind trying again?",
    "This content may not comply with our usage policies. Please try a different image.",
    (
        "I prefer to steer clear of describing explicit scenes. Can I interest you in "
        "something else?"
    ),
    "I'm afraid that's a request I have to turn down.",
    "Describing this photo would go against the principles I operate by.",
    "Nope, can't do that one. Try another photo?",
    "Sorry, but I can't help identify who is in this photo.",
    "The assistant cannot comply with this request.",
    "ERROR: content filtered.",
    "[Content removed due to policy]",
    "I cannot see images, but if you tell me what's in it I will gladly write a caption.",
    "I do not have the capability to view pictures.",
    "As a text-only model, pictures are invisible to me.",
    "Your image appears to be missing or corrupted, so there's nothing for me to describe.",
    "What would you like me to do with this image?",
    "Sure! Please provide the image you'd like me to describe.",
    "この画像については、説明を控えさせていただきます。",
    "Es tut mir leid, aber dabei kann ich dir nicht helfen.",
    "Désolé, mais je ne suis pas en mesure de décrire cette photo.",
)
"""Other voices than those of the sets before."""

NOTHING = (
    "Here is a detailed description of the image:",
    "<|im_start|>assistant\n",
    "</s></s></s>",
    "...\n...\n...",
    "**Caption:** ",
    "\u200b" * 3,
    "N/A",
)
"""Announcements, marks of templates, and signs that say that there is nothing."""

CUT = (
    (
        "The painting depicts a beautiful landscape with mountains in the background, and the "
        "sky above is filled with clouds that drift slowly towards the"
    ),
)
"""Ended by the limit."""

AGAIN_NEAR = (
    "A man in a hospital bed cannot speak; he writes on a small whiteboard for the nurse.",
    "There are no faces visible, only the backs of the audience and a bright stage.",
    (
        "I love this picture of my grandmother! She would not let anybody help her with the "
        "heavy basket."
    ),
    "We do not know what the dog is looking at, but its ears are up and its eyes are wide open.",
    ("The poster asks for help: MISSING, a girl of twelve, last seen on Tuesday near the station."),
    "The text is not readable in this image, as the focus is on the foreground flowers.",
    "This is a request form with four empty fields and a stamp that reads APPROVED.",
    "Not a photograph but a render: a chrome sphere on a chequered floor, mirrored twice.",
    (
        "The image may be inappropriate for children: a man with a knife stands over a pool of "
        "blood."
    ),
    (
        "A nude woman stands in a shallow stream, her back towards the viewer, explicit but "
        "tasteful."
    ),
    "I am not sure whether this is a crow or a raven; it sits on a fence post in the rain.",
    ("I don't think I have ever seen a picture of such a blue lake. Mountains rise on both sides."),
    "Sorry about the mess! My desk with two monitors, a cold coffee and a sleeping cat.",
    "You can't see the wheels of the car in this picture, as they are deep in the mud.",
    "It is impossible to view the image without noticing the red umbrella in the grey crowd.",
    "The woman is unable to open the jar; her husband laughs in the background.",
    "An assistant holds a reflector while a photographer takes pictures of a bride.",
    "The AI-generated image shows a city of glass, with hands that have six fingers.",
    "A language model is drawn as a friendly octopus that wears a smiling mask.",
    "A screenshot of an upload dialog: Drag and drop your image here or browse files.",
    "A blank white image with nothing on it but a thin grey border.",
    (
        "The picture is missing its lower half; it was torn away, and only the head of the boy "
        "is left."
    ),
    "The content warning on the screen says that the video contains flashing lights.",
    "A slide titled Our Policies lists four points: be kind, be honest, be brief, be on time.",
    (
        "This photo violates every rule of composition, and works: the horizon is tilted and "
        "the head cut off."
    ),
    "The guard refuses to let the reporters through the gate.",
    "An elderly man declines a piece of cake with a raised hand.",
    "No image of the moon has more detail than this one: every crater casts its own shadow.",
    "The photo didn't come out well, it is blurry, with a thumb over half of the lens.",
    (
        "I'd rather not say how long it took me to build this Lego castle. 5,000 bricks, three "
        "towers."
    ),
    "Let's talk about colour: the orange coat against the teal wall makes this portrait.",
    "Could you ask for a better view? A hammock between two palm trees, and the sea beyond.",
    "How can I say no to that face? A beagle puppy begs at the table.",
    "What would you like me to order? asks the caption over a waiter drawn as a penguin.",
    "My apologies to the chef: I ate half of it before I took this photo of a lasagne.",
    "The subject is not looking at the camera and cannot be identified because of the mask.",
    "You have not seen a picture like this: a whale jumps right beside a kayak.",
    "Any file in the cabinet is labelled by hand, in blue and red ink.",
    "I refuse to share these cookies! A plate of chocolate chip cookies on a checked cloth.",
    "I can't tell you how much I love this picture of the two of us on the beach!",
)
"""Near a refusal once more, with no rule in hand."""

AGAIN_REFUSALS = (
    "I apologize, but I'm not comfortable generating a caption for this particular photo.",
    "I'm not going to describe this image.",
    "I cannot provide a caption as the image contains explicit nudity.",
    "I'm sorry, I cannot provide details about the identity of the person in the picture.",
    (
        "I won't provide a description of this image because it depicts sexual content "
        "involving minors."
    ),
    "I am unable to generate a description for this image.",
    "I am not able to identify individuals based on their facial features.",
    "I'm afraid I can't do that.",
    "I must respectfully decline to describe the contents of this photo.",
    "That is not something I'm able to do.",
    "Due to safety concerns, I cannot describe this picture in detail.",
    "This image contains content that I am not able to describe.",
    "The image you provided contains explicit content, which I cannot describe.",
    "The image contains graphic violence and I can't provide a caption for it.",
    "I don't have enough information to describe the image, could you give me more context?",
    "There doesn't seem to be an image attached to your message.",
    "No image detected.",
    "Image not found.",
    "Unable to load image.",
    "Please upload the picture so I can help you describe it.",
    "I can't view images directly, but I can help you write a prompt.",
    "I'm just a language model, so I have no way of seeing your picture.",
    "I'd be happy to help! However, I don't see any image in your message.",
    "I'd be glad to describe the image, but you haven't attached one.",
    "Sorry, I can't assist with that request.",
    "Je suis désolé, je ne peux pas vous aider avec cela.",
    "Lo siento, pero no puedo ayudar con eso.",
    "抱歉，我无法满足您的请求。",
    "Извините, я не могу помочь с этим запросом.",
    (
        "I cannot fulfill your request. I am just an AI model, it is not within my programming "
        "or ethical guidelines to describe such images."
    ),
    "As a responsible AI, I will not describe this.",
    "I choose not to describe this image.",
    "This request falls outside of my capabilities.",
    "Let me know if you'd like me to help with a different image instead.",
    "I cannot, in good conscience, describe this photograph.",
    "It seems you haven't provided an image for me to describe.",
    "The provided image is inappropriate and I will not be captioning it.",
    "This type of content isn't something I'll write about.",
    "I'm unable to assist.",
    "I can't help.",
)
"""As chat models are known to decline."""
